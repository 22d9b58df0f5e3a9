fn main() {
    let args: Vec<String> = std::env::args().collect();
    let out = std::path::PathBuf::from(&args[2]);
    let _ = std::fs::remove_dir_all(&out);
    std::fs::create_dir_all(&out).unwrap();
    wasm_bindgen_cli_support::Bindgen::new()
        .input_path(&args[1]).out_name("client_wasm").web(true).unwrap().typescript(true)
        .omit_default_module_path(false).remove_producers_section(true).remove_name_section(true)
        .generate(&out).unwrap();
}
