mod shaders;

fn main() {
    shaders::shorten_all("src/generator");
}
