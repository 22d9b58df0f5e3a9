//! `fed-bbpt embeddings`: extracts from an open language model's files what soft prompts for vLLM
//! need, the tokenizer and the table of input embeddings, and prints the lines for the task file.

use super::{say, say_json};
use crate::CliError;
use clap::Args;
use ground::hash::sha256_hex;
use inference::prompt_embeds::{Embeddings, Table};
use inference::safetensors_header::{Header, PREFIX};
use model_client::prompt_embeds::Embedder as _;
use safetensors::Dtype;
use safetensors::tensor::TensorView;
use serde_json::{Value, json};
use std::fs::File;
use std::io::{Read as _, Seek as _, SeekFrom};
use std::path::{Path, PathBuf};

/// The arguments of `fed-bbpt embeddings`.
#[derive(Args)]
pub struct EmbeddingsArgs {
    /// The model: a folder in the layout of Hugging Face's hub, with tokenizer.json and
    /// model.safetensors or model.safetensors.index.json; or a safetensors file with tokenizer.json
    /// beside it.
    #[arg(long, value_name = "PATH")]
    model: PathBuf,
    /// Folder to write tokenizer.json and embeddings.safetensors into.
    #[arg(long, value_name = "FOLDER")]
    output: PathBuf,
    /// Name of the table.
    #[arg(long, value_name = "NAME", default_value = "model.embed_tokens.weight")]
    tensor: String,
    /// Print the lines for the task file as JSON.
    #[arg(long)]
    json: bool,
}

/// Writes both files, and prints what the task file needs.
pub fn run(args: &EmbeddingsArgs) -> Result<(), CliError> {
    let folder = if args.model.is_dir() {
        args.model.as_path()
    } else {
        args.model.parent().unwrap_or(Path::new(""))
    };
    let tokenizer = read(&folder.join("tokenizer.json"))?;
    let path = file_of(args)?;
    let file = cut_out(&path, &args.tensor)?;
    let table = Table::read(&path.display().to_string(), file.clone(), &args.tensor)
        .map_err(CliError::usage)?;
    let (rows, hidden, deviation) = (table.rows(), table.hidden(), table.deviation());
    let kept = table.element().name();
    let name = folder.join("tokenizer.json").display().to_string();
    let both = Embeddings::new(&name, &tokenizer, table).map_err(CliError::usage)?;
    both.embed("A text.", &[]).map_err(CliError::usage)?;
    std::fs::create_dir_all(&args.output).map_err(CliError::failed)?;
    for (name, bytes) in [
        ("tokenizer.json", &tokenizer),
        ("embeddings.safetensors", &file),
    ] {
        std::fs::write(args.output.join(name), bytes).map_err(CliError::failed)?;
    }
    let output = args.output.display();
    eprintln!(
        "{output}: tokenizer.json, and {rows} embeddings of {hidden} numbers ({kept}); put the folder where all who take part can fetch it (`fed-bbpt serve --models` offers folders below /models), and its address into `url`"
    );
    let last = args.output.file_name().unwrap_or_default();
    let mut files = json!({
        "url": format!("https://HOST/models/{}", last.display()),
        "tokenizer_sha256": sha256_hex(&tokenizer),
        "table_sha256": sha256_hex(&file),
    });
    if args.tensor != "model.embed_tokens.weight" {
        files["tensor"] = json!(args.tensor);
    }
    if args.json {
        return say_json(&json!({
            "model": { "openai": { "api": "completions", "prompt_embeds": files } },
            "generator": { "kind": "soft", "hidden": hidden, "deviation": deviation },
        }));
    }
    // A JSON text is a TOML text too.
    let files = files.as_object().into_iter().flatten();
    let files: Vec<String> = files
        .map(|(key, value)| format!("{key} = {value}"))
        .collect();
    say(&format!(
        r#"[model.openai]
api = "completions"

[model.openai.prompt_embeds]
{}

[generator]
kind = "soft"
hidden = {hidden}
deviation = {deviation:.4e}"#,
        files.join("\n")
    ));
    Ok(())
}

fn read(path: &Path) -> Result<Vec<u8>, CliError> {
    std::fs::read(path).map_err(|error| unreadable(path, &error))
}

fn unreadable(path: &Path, cause: &dyn std::fmt::Display) -> CliError {
    CliError::usage(format!("{} cannot be read: {cause}", path.display()))
}

/// The safetensors file that contains the table.
fn file_of(args: &EmbeddingsArgs) -> Result<PathBuf, CliError> {
    if !args.model.is_dir() {
        return Ok(args.model.clone());
    }
    let index = args.model.join("model.safetensors.index.json");
    if !index.is_file() {
        return Ok(args.model.join("model.safetensors"));
    }
    let parsed: Value =
        serde_json::from_slice(&read(&index)?).map_err(|error| unreadable(&index, &error))?;
    let part = parsed["weight_map"][&args.tensor].as_str();
    // A file's name alone, never a way out of the folder.
    let part = part.and_then(|part| Path::new(part).file_name());
    let part = part.ok_or_else(|| {
        CliError::usage(format!(
            "{} names no file for {}; see its `weight_map` for the table's name, and say --tensor",
            index.display(),
            args.tensor
        ))
    })?;
    Ok(args.model.join(part))
}

/// Makes a safetensors file of this tensor alone. The rest of the file, which may be large, is not
/// read.
fn cut_out(path: &Path, tensor: &str) -> Result<Vec<u8>, CliError> {
    let failed = |error: std::io::Error| unreadable(path, &error);
    let broken = |cause: String| unreadable(path, &cause);
    let mut file = File::open(path).map_err(failed)?;
    let mut prefix = [0; PREFIX];
    file.read_exact(&mut prefix).map_err(failed)?;
    let length = Header::length(prefix).map_err(broken)?;
    let mut head = Vec::new();
    let read = (&mut file).take(length as u64).read_to_end(&mut head);
    if read.map_err(failed)? < length {
        return Err(broken("it ends within its header".to_owned()));
    }
    let head = Header::parse(&head).map_err(broken)?;
    let Some(found) = head.tensor(tensor).map_err(broken)? else {
        let names = head.names();
        let names = names.filter(|name| name.contains("emb") || name.contains("wte"));
        let names: Vec<&str> = names.take(8).collect();
        return Err(CliError::usage(format!(
            "{} holds no tensor {tensor}; say --tensor{}{}",
            path.display(),
            if names.is_empty() {
                ""
            } else {
                ", perhaps one of "
            },
            names.join(", ")
        )));
    };
    let dtype = serde_json::from_value::<Dtype>(found.dtype.clone().into());
    let dtype = dtype.map_err(|_| broken(format!("its type {} is not known", found.dtype)))?;
    let [begin, end] = found.bytes;
    if end > file.metadata().map_err(failed)?.len() {
        return Err(broken("it is cut off".to_owned()));
    }
    file.seek(SeekFrom::Start(begin)).map_err(failed)?;
    let mut bytes = vec![0; (end - begin) as usize];
    file.read_exact(&mut bytes).map_err(failed)?;
    let shape = found.shape.iter().map(|side| *side as usize).collect();
    let view = TensorView::new(dtype, shape, &bytes).map_err(|error| broken(error.to_string()))?;
    safetensors::serialize([(tensor, view)], None).map_err(CliError::failed)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Writes a file of two tensors.
    fn write(path: &Path) {
        let table: Vec<u8> = (0..24_u8)
            .flat_map(|x| f32::from(x).to_le_bytes())
            .collect();
        let tensors = [
            (
                "model.embed_tokens.weight",
                TensorView::new(Dtype::F32, vec![12, 2], &table).unwrap(),
            ),
            (
                "model.norm.weight",
                TensorView::new(Dtype::F32, vec![2], &table[..8]).unwrap(),
            ),
        ];
        std::fs::write(path, safetensors::serialize(tensors, None).unwrap()).unwrap();
    }

    fn args(model: &Path, tensor: &str) -> EmbeddingsArgs {
        EmbeddingsArgs {
            model: model.to_owned(),
            output: model.join("out"),
            tensor: tensor.to_owned(),
            json: false,
        }
    }

    #[test]
    fn a_table_is_cut_out_of_one_file_or_of_several() {
        let folder = tempfile::tempdir().unwrap();
        let (one, index) = (
            folder.path().join("model.safetensors"),
            folder.path().join("model.safetensors.index.json"),
        );
        write(&one);
        let name = "model.embed_tokens.weight";
        assert_eq!(file_of(&args(folder.path(), name)).ok().unwrap(), one);
        let cut = cut_out(&one, name).ok().unwrap();
        let table = Table::read("x", cut, name).unwrap();
        assert_eq!((table.rows(), table.hidden()), (12, 2));
        // The standard deviation of the numbers from 0 to 23.
        assert!((table.deviation() - (575.0_f64 / 12.0).sqrt()).abs() < 1e-6);
        std::fs::write(
            &index,
            r#"{ "weight_map": { "model.embed_tokens.weight": "../b.safetensors" } }"#,
        )
        .unwrap();
        let found = file_of(&args(folder.path(), name)).ok().unwrap();
        assert_eq!(found, folder.path().join("b.safetensors"));
        assert!(file_of(&args(folder.path(), "wte.weight")).is_err());
        let Err(CliError::Usage(said)) = cut_out(&one, "wte.weight") else {
            panic!("found")
        };
        assert!(
            said.contains("perhaps one of model.embed_tokens.weight"),
            "{said}"
        );
        std::fs::write(&one, [255; 16]).unwrap();
        assert!(cut_out(&one, name).is_err());
    }
}
