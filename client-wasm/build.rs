#[path = "../shared/shaders.rs"]
mod shaders;

fn main() {
    shaders::shorten_all("src/gpu");
}
