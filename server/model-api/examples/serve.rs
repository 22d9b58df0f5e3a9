//! The model API alone, without the rest of `fed-bbpt`:
//! `cargo run -p model-api --example serve -- --help`.

use std::error::Error;
use std::net::TcpListener;
use std::process::ExitCode;

use clap::Parser;
use model_api::ModelApiArgs;

#[derive(Parser)]
struct Command {
    #[command(flatten)]
    model_api: ModelApiArgs,
}

#[actix_web::main]
async fn main() -> ExitCode {
    match serve(Command::parse().model_api).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}

async fn serve(args: ModelApiArgs) -> Result<(), Box<dyn Error>> {
    let config = args.into_config()?;
    let listener = TcpListener::bind(config.listen)?;
    println!("http://{}", listener.local_addr()?);
    let interrupted = async {
        // Without signals the process can still be ended from outside.
        if tokio::signal::ctrl_c().await.is_err() {
            std::future::pending::<()>().await;
        }
    };
    Ok(model_api::run(listener, config, interrupted).await?)
}
