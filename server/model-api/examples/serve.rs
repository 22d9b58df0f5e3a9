//! The model API alone, without the rest of `fed-bbpt`: `cargo run -p model-api --example serve -- --help`.

use std::net::TcpListener;

use clap::Parser;
use model_api::ModelApiArgs;

#[derive(Parser)]
struct Command {
    #[command(flatten)]
    model_api: ModelApiArgs,
}

#[actix_web::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let config = Command::parse().model_api.into_config()?;
    let listener = TcpListener::bind(config.listen)?;
    println!("listening on http://{}", listener.local_addr()?);
    let interrupted = async {
        // Without signals the process can still be ended from outside.
        if tokio::signal::ctrl_c().await.is_err() {
            std::future::pending::<()>().await;
        }
    };
    Ok(model_api::run(listener, config, interrupted).await?)
}
