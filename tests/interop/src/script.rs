//! A script in tests/interop, and what its comments say it needs.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};

use crate::python;
use xtask::workspace::tests;

/// A script. Lines in it, at any place, say what it needs:
///
/// * `# requirements: NAME`: the packages of `tests/interop/requirements/NAME.txt`;
/// * `# model-api: FLAGS`: a `fed-bbpt model-api` with these flags; one for each such line, given as `--url`;
/// * `# drives: fed-bbpt`: our binary, given as `--fed-bbpt`, for it starts somebody else's server itself.
pub struct Script {
    pub path: PathBuf,
    requirements: String,
    /// The flags of each model API; paths in them are relative to the repository's root.
    pub model_apis: Vec<Vec<String>>,
    pub drives_ours: bool,
}

impl Script {
    fn read(path: PathBuf) -> Result<Self> {
        let text = std::fs::read_to_string(&path)
            .with_context(|| format!("cannot read {}", path.display()))?;
        Self::parse(path, &text)
    }

    fn parse(path: PathBuf, text: &str) -> Result<Self> {
        let all = |key: &str| -> Vec<&str> {
            let lines = text.lines();
            lines
                .filter_map(|line| Some(line.strip_prefix("# ")?.strip_prefix(key)?.trim()))
                .collect()
        };
        let [requirements] = all("requirements:")[..] else {
            bail!(
                "{} must have one line `# requirements: NAME`",
                path.display()
            );
        };
        let requirements = requirements.to_owned();
        let words = |line: &str| line.split_whitespace().map(str::to_owned).collect();
        let model_apis: Vec<Vec<String>> = all("model-api:").into_iter().map(words).collect();
        let drives_ours = all("drives:") == ["fed-bbpt"];
        if model_apis.is_empty() != drives_ours {
            bail!(
                "{} must have either a line `# drives: fed-bbpt` or lines `# model-api: FLAGS`",
                path.display()
            );
        }
        Ok(Self {
            path,
            requirements,
            model_apis,
            drives_ours,
        })
    }

    /// All scripts, or the one called `name`, in alphabetical order.
    pub fn all(name: Option<&str>) -> Result<Vec<Self>> {
        let folder = tests().join("interop");
        let mut paths: Vec<PathBuf> = std::fs::read_dir(&folder)
            .with_context(|| format!("cannot list {}", folder.display()))?
            .filter_map(|entry| Some(entry.ok()?.path()))
            .filter(|path| path.extension().is_some_and(|extension| extension == "py"))
            .filter(|path| {
                name.is_none_or(|name| path.file_stem().is_some_and(|stem| stem == name))
            })
            .collect();
        paths.sort();
        match (paths.is_empty(), name) {
            (true, Some(name)) => bail!(
                "there is no {}",
                folder.join(format!("{name}.py")).display()
            ),
            (true, None) => bail!("{} holds no scripts", folder.display()),
            (false, _) => paths.into_iter().map(Self::read).collect(),
        }
    }

    pub fn name(&self) -> String {
        let stem = self.path.file_stem().unwrap_or_default();
        stem.to_string_lossy().into_owned()
    }

    /// The path of its Python, with its packages installed. Some must be compiled, which is done
    /// once.
    pub fn python(&self) -> Result<PathBuf> {
        let name = &self.requirements;
        let file = tests().join(format!("interop/requirements/{name}.txt"));
        let text = std::fs::read_to_string(&file)
            .with_context(|| format!("cannot read {}", file.display()))?;
        let (packages, variables) = requirements(&text);
        python::environment_with(
            &Path::new("interop").join(name).to_string_lossy(),
            &packages,
            &variables,
        )
        .with_context(|| {
            format!(
                "its packages cannot be installed; {} says what they need",
                file.display()
            )
        })
    }
}

/// The packages of a requirements file, and the variables that building them needs (`# env: NAME=VALUE`).
fn requirements(text: &str) -> (Vec<&str>, Vec<(&str, &str)>) {
    let lines = || text.lines().map(str::trim);
    let packages = lines().filter(|line| !line.is_empty() && !line.starts_with('#'));
    let variables = lines().filter_map(|line| line.strip_prefix("# env:")?.trim().split_once('='));
    (packages.collect(), variables.collect())
}

#[cfg(test)]
mod tests {
    use super::{Script, requirements};

    fn parse(text: &str) -> anyhow::Result<Script> {
        Script::parse("x.py".into(), text)
    }

    #[test]
    fn a_script_states_what_it_needs() {
        let script = parse(
            "#!/usr/bin/env python3\n# requirements: triton\n# model-api: --model-folder a/b --name words\n# model-api:\nimport sys\n",
        )
        .unwrap();
        assert_eq!(script.requirements, "triton");
        assert_eq!(
            script.model_apis,
            [vec!["--model-folder", "a/b", "--name", "words"], vec![]]
        );
        assert!(!script.drives_ours);
        let other = parse("# requirements: mlserver\n# drives: fed-bbpt\n").unwrap();
        assert!(other.drives_ours && other.model_apis.is_empty());
        for bad in [
            "import sys\n",
            "# requirements: a\n",
            "# model-api:\n",
            "# requirements: a\n# drives: fed-bbpt\n# model-api:\n",
        ] {
            assert!(parse(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn reads_a_requirements_file() {
        let (packages, variables) =
            requirements("# built here\n# env: CMAKE_ARGS=-DA=1 -DB=2\na==1\n\nb[c]==2\n");
        assert_eq!(packages, ["a==1", "b[c]==2"]);
        assert_eq!(variables, [("CMAKE_ARGS", "-DA=1 -DB=2")]);
    }
}
