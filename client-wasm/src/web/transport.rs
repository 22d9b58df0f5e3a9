//! The way to the aggregator and to the model: over the network, or to a model on this device.

use model_client::transport::{Answer, Call, NoAnswer, Transport};

use super::{http, on_device, timer};

/// The transport of the browser: `fetch` or the model on this device, and the Worker's clock.
pub struct Web {
    /// Whether requests are for the model, which may run here.
    pub model: bool,
}

impl Transport for Web {
    async fn send(&self, call: Call<'_>) -> Result<Answer, NoAnswer> {
        if self.is_here() {
            return on_device::send(&call).await;
        }
        http::send(&call).await
    }

    fn now_ms(&self) -> f64 {
        timer::now()
    }

    async fn sleep(&self, ms: f64) {
        timer::sleep(ms).await;
    }

    fn uniform(&self) -> f32 {
        js_sys::Math::random() as f32
    }

    fn is_here(&self) -> bool {
        self.model && on_device::is_used()
    }
}
