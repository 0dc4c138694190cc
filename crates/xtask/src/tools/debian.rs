//! Debian's packages, unpacked into a folder: that needs no rights and changes nothing of the system.

use std::path::Path;
use std::process::{Command, Stdio};

use anyhow::Result;

use crate::process::{output, run};

/// Which lists of packages apt reads.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Lists {
    System,
    Own,
}

/// apt, as somebody calls it who may change nothing but a folder.
#[derive(Debug)]
pub(super) struct Apt<'a> {
    folder: &'a Path,
    lists: Lists,
}

/// Does `work`, which unpacks packages into `folder`, by the system's lists of packages, and if these are missing or out of
/// date, by lists of our own.
///
/// # Errors
/// If it fails with either.
pub(super) fn unpacked<T>(folder: &Path, work: impl Fn(&Apt<'_>) -> Result<T>) -> Result<T> {
    work(&Apt { folder, lists: Lists::System }).or_else(|_| {
        let own = Apt { folder, lists: Lists::Own };
        own.update()?;
        work(&own)
    })
}

impl Apt<'_> {
    fn program(&self, program: &str) -> Command {
        let mut apt = Command::new(program);
        apt.current_dir(self.folder).stdin(Stdio::null());
        if self.lists == Lists::Own {
            apt.arg("-o").arg(format!("Dir::State::Lists={}", self.folder.join("lists").display()));
            apt.arg("-o").arg(format!("Dir::Cache={}", self.folder.join("apt").display()));
        }
        // Who is root fetches as root: the packages are verified all the same, and the user `_apt` may not write here.
        apt.args(["-o", "APT::Sandbox::User=root"]);
        apt
    }

    fn update(&self) -> Result<()> {
        std::fs::create_dir_all(self.folder.join("lists/partial"))?;
        std::fs::create_dir_all(self.folder.join("apt/archives/partial"))?;
        output(self.program("apt-get").arg("update")).map(drop)
    }

    /// Asks `apt-cache`.
    pub(super) fn cache(&self, question: &[&str]) -> Result<String> {
        let answer = output(self.program("apt-cache").args(question))?;
        Ok(String::from_utf8_lossy(&answer).into_owned())
    }

    /// What an installation of these packages would bring, those that they depend on and that are not there yet included.
    pub(super) fn missing(&self, packages: &[&str]) -> Result<Vec<String>> {
        let simulate = ["install", "--simulate", "--no-install-recommends", "--reinstall"];
        let said = output(self.program("apt-get").args(simulate).args(packages))?;
        Ok(brought(&String::from_utf8_lossy(&said)))
    }

    /// Loads packages and unpacks them.
    pub(super) fn unpack(&self, packages: &[String]) -> Result<()> {
        output(self.program("apt-get").arg("download").args(packages))?;
        for file in std::fs::read_dir(self.folder)? {
            let file = file?.path();
            if file.extension().is_some_and(|extension| extension == "deb") {
                run(Command::new("dpkg-deb").arg("-x").arg(&file).arg(self.folder))?;
                std::fs::remove_file(&file)?;
            }
        }
        Ok(())
    }
}

/// The packages that a simulated installation names: `Inst nginx (1.22.1-9 Debian:12 [amd64])`.
fn brought(said: &str) -> Vec<String> {
    said.lines().filter_map(|line| line.strip_prefix("Inst ")?.split(' ').next()).map(str::to_owned).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_an_installation_would_bring_is_read_from_its_simulation() {
        let said = "Reading package lists...\nInst liblua5.3-0 (5.3.6-2 Debian:12 [amd64])\nInst haproxy [2.6.1] (2.6.12 Debian:12)\nConf haproxy (2.6.12 Debian:12)\n";
        assert_eq!(brought(said), ["liblua5.3-0", "haproxy"]);
    }
}
