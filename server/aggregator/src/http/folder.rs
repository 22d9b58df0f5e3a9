//! The folder of the built pages, read once when the server starts, so that a request costs neither
//! disk access nor memory of its own, however slowly its client reads.

use super::encoding::COMPRESSED;
use actix_web::http::header::{ContentEncoding, EntityTag};
use actix_web::web::Bytes;
use ground::hash::sha256_hex;
use std::collections::HashMap;
use std::ffi::OsStr;
use std::io;
use std::path::{Component, Path, PathBuf};

/// Number of hexadecimal digits of a file's hash in its tag: 128 bits.
const TAG: usize = 32;

/// The files in a folder by their names in addresses, such as `assets/page.css`.
pub(crate) struct Folder {
    files: HashMap<String, File>,
}

/// A file in the encodings in which it exists.
pub(super) struct File {
    /// Its content type.
    pub(super) kind: &'static str,
    /// Whether its name contains a hash of its content.
    pub(super) hashed: bool,
    /// The file's forms, at least the plain one, which stands last.
    pub(super) forms: Vec<Form>,
}

/// A file's bytes in one encoding.
pub(super) struct Form {
    pub(super) encoding: ContentEncoding,
    pub(super) bytes: Bytes,
    /// The tag, which differs from that of every other content and encoding.
    pub(super) tag: EntityTag,
}

impl Folder {
    /// Reads all files in `root` whose names are [plain](safe). A link that leads out of the folder
    /// is left out.
    ///
    /// # Errors
    /// The system's error if a file or folder cannot be read.
    pub(crate) fn read(root: &Path) -> io::Result<Self> {
        let root = root.canonicalize()?;
        let mut found = HashMap::new();
        collect(&root, &root, &mut found)?;
        let names: Vec<String> = found.keys().cloned().collect();
        let mut files = HashMap::new();
        for name in names {
            let path = Path::new(&name);
            if is_copy(path, &found) {
                continue;
            }
            let form = |encoding, bytes: &Bytes| Form {
                encoding,
                bytes: bytes.clone(),
                tag: EntityTag::new_strong(sha256_hex(bytes)[..TAG].to_owned()),
            };
            let mut forms: Vec<Form> = COMPRESSED
                .iter()
                .filter_map(|(encoding, ending)| {
                    let copy = found.get(&format!("{name}.{ending}"))?;
                    Some(form(*encoding, copy))
                })
                .collect();
            forms.extend(
                found
                    .get(&name)
                    .map(|bytes| form(ContentEncoding::Identity, bytes)),
            );
            let file = File {
                kind: mime(path),
                hashed: name.starts_with("assets/") && has_hash(path),
                forms,
            };
            files.insert(name, file);
        }
        Ok(Self { files })
    }

    pub(super) fn get(&self, name: &str) -> Option<&File> {
        self.files.get(name)
    }
}

/// Whether the file at `path` is a compressed copy of another file.
fn is_copy(path: &Path, found: &HashMap<String, Bytes>) -> bool {
    let ending = path.extension();
    COMPRESSED
        .iter()
        .any(|(_, copy)| ending == Some(OsStr::new(copy)))
        && path
            .with_extension("")
            .to_str()
            .is_some_and(|original| found.contains_key(original))
}

fn collect(root: &Path, folder: &Path, found: &mut HashMap<String, Bytes>) -> io::Result<()> {
    for entry in folder.read_dir()? {
        let entry = entry?;
        let path = entry.path();
        if entry.file_type()?.is_dir() {
            collect(root, &path, found)?;
            continue;
        }
        let name = path.strip_prefix(root).ok().and_then(Path::to_str);
        // A broken link is no file.
        let target = path.canonicalize().ok();
        if let (Some(name), Some(target)) = (name.filter(|name| safe(name).is_some()), target)
            && target.starts_with(root)
            && target.is_file()
        {
            found.insert(name.to_owned(), std::fs::read(target)?.into());
        }
    }
    Ok(())
}

/// A path that stays below its root, of plain names only; `None` for any other.
pub(super) fn safe(name: &str) -> Option<PathBuf> {
    let path = PathBuf::from(name);
    let plain = |part: Component<'_>| match part {
        Component::Normal(name) => name.to_str().is_some_and(|n| {
            !n.starts_with('.')
                && n.chars()
                    .all(|c| c.is_ascii_alphanumeric() || "-_.".contains(c))
        }),
        _ => false,
    };
    (!name.is_empty() && path.components().all(plain)).then_some(path)
}

/// Whether a file's name has the eight characters of a hash that Vite puts before its ending, as in
/// `worker-Bx1_9kQz.js`.
fn has_hash(path: &Path) -> bool {
    let stem = path
        .file_stem()
        .and_then(|s| s.to_str())
        .unwrap_or_default();
    let bytes = stem.as_bytes();
    bytes.len() > 9
        && bytes[bytes.len() - 9] == b'-'
        && bytes[bytes.len() - 8..]
            .iter()
            .all(|b| b.is_ascii_alphanumeric() || b"-_".contains(b))
}

fn mime(path: &Path) -> &'static str {
    match path.extension().and_then(|e| e.to_str()) {
        Some("html") => "text/html; charset=utf-8",
        Some("js" | "mjs") => "text/javascript; charset=utf-8",
        Some("css") => "text/css; charset=utf-8",
        Some("wasm") => "application/wasm",
        Some("json" | "map") => "application/json",
        Some("webmanifest") => "application/manifest+json",
        Some("svg") => "image/svg+xml",
        Some("png") => "image/png",
        Some("ico") => "image/x-icon",
        Some("woff2") => "font/woff2",
        Some("txt") => "text/plain; charset=utf-8",
        _ => "application/octet-stream",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_plain_names_pass() {
        for good in ["index.html", "assets/a-b_c.js", "assets/x/y.css"] {
            assert!(safe(good).is_some(), "{good}");
        }
        for bad in [
            "",
            "..",
            "../x",
            "assets/../../x",
            "/etc/passwd",
            "assets/.git",
            "a\\b",
            "a\0",
            "a b",
        ] {
            assert!(safe(bad).is_none(), "{bad}");
        }
    }

    #[test]
    fn hashes_are_told_from_names() {
        let has = |name: &str| has_hash(Path::new(name));
        assert!(has("assets/worker-Bx1_9kQz.js"));
        assert!(!has("assets/worker.js") && !has("assets/long-name.js"));
    }

    #[test]
    fn compressed_copies_belong_to_their_file_and_an_archive_is_a_file() {
        let home = tempfile::tempdir().unwrap();
        std::fs::create_dir(home.path().join("assets")).unwrap();
        for name in ["a.js", "a.js.br", "a.js.gz", "data.gz", ".hidden"] {
            std::fs::write(home.path().join("assets").join(name), name).unwrap();
        }
        let folder = Folder::read(home.path()).unwrap();
        let mut names: Vec<_> = folder.files.keys().map(String::as_str).collect();
        names.sort_unstable();
        assert_eq!(names, ["assets/a.js", "assets/data.gz"]);
        let forms = &folder.get("assets/a.js").unwrap().forms;
        let forms: Vec<_> = forms.iter().map(|f| (f.encoding, &f.bytes[..])).collect();
        assert_eq!(
            forms,
            [
                (ContentEncoding::Brotli, &b"a.js.br"[..]),
                (ContentEncoding::Gzip, b"a.js.gz"),
                (ContentEncoding::Identity, b"a.js"),
            ]
        );
    }
}
