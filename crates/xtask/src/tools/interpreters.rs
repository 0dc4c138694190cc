//! Which Python packages are installed with: the best of some names that is in `PATH` and can make environments. None is fetched.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, Result};

use crate::process::output;

/// What a version manager (pyenv, asdf) calls the folder of its stand-ins: each starts the version that is chosen, and where none of
/// its name is, it fails although it is in `PATH`.
const STAND_INS: &str = "shims";

/// The first of these that makes environments.
///
/// # Errors
/// None does.
pub(super) fn best(names: &[&str]) -> Result<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let dirs: Vec<_> = std::env::split_paths(&path).collect();
    let all = names.iter().flat_map(|name| named(name, &dirs));
    all.into_iter().find(|python| makes_environments(python)).with_context(|| {
        format!("none of {} in PATH can make environments (on Debian: apt install python3-venv)", names.join(", "))
    })
}

/// The version that it says.
///
/// # Errors
/// It says none.
pub(super) fn version(python: &Path) -> Result<String> {
    let said = output(Command::new(python).args(["-c", "import platform; print(platform.python_version())"]))?;
    Ok(String::from_utf8_lossy(&said).trim().to_owned())
}

/// Programs of this name, in the order of `PATH`; behind a stand-in those that it stands for, the newest first.
fn named(name: &str, dirs: &[PathBuf]) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for dir in dirs {
        let path = dir.join(name);
        if !path.exists() {
            continue;
        }
        found.push(path);
        if dir.file_name().is_some_and(|last| last == STAND_INS)
            && let Some(versions) = dir.parent().and_then(|root| std::fs::read_dir(root.join("versions")).ok())
        {
            let mut behind: Vec<_> = versions
                .flatten()
                .map(|version| version.path().join("bin").join(name))
                .filter(|path| path.exists())
                .collect();
            behind.sort();
            found.extend(behind.into_iter().rev());
        }
    }
    found
}

/// True if this is a Python that can make virtual environments.
fn makes_environments(python: &Path) -> bool {
    let asked = Command::new(python).args(["-c", "import ensurepip, venv"]).stderr(Stdio::null()).status();
    asked.is_ok_and(|status| status.success())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_interpreter_behind_a_version_managers_stand_in_is_found_by_its_name() {
        let root = std::env::temp_dir().join(format!("comity-xtask-interpreters-{}", std::process::id()));
        let file = |path: &str| {
            let path = root.join(path);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(&path, "").unwrap();
            path
        };
        let stand_in = file("manager/shims/python3.12");
        let [older, newer] =
            ["3.12.1", "3.12.4"].map(|version| file(&format!("manager/versions/{version}/bin/python3.12")));
        file("manager/versions/3.11.7/bin/python3.11");
        let own = file("bin/python3.12");
        let dirs = [root.join("manager/shims"), root.join("nowhere"), root.join("bin")];
        assert_eq!(named("python3.12", &dirs), [stand_in, newer, older, own]);
        assert_eq!(named("python3.14", &dirs), Vec::<PathBuf>::new());
        std::fs::remove_dir_all(root).unwrap();
    }
}
