//! A file system of a few hundred kilobytes, where this process may mount one.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::OnceLock;

use anyhow::{Context as _, Result, ensure};

/// One that is mounted; it goes with this.
#[derive(Debug)]
pub(super) struct Small(PathBuf);

impl Small {
    /// Mounts one of so many bytes at `dir`, which is made if need be.
    pub(super) fn mount(dir: &Path, bytes: u64) -> Result<Self> {
        std::fs::create_dir_all(dir).with_context(|| format!("cannot make {}", dir.display()))?;
        let mut mount = Command::new("mount");
        mount.args(["-t", "tmpfs", "-o", &format!("size={bytes},mode=700"), "comity-faults"]).arg(dir);
        let mounted = mount.stdout(Stdio::null()).stderr(Stdio::null()).status().context("there is no `mount`")?;
        ensure!(mounted.success(), "nothing may be mounted here");
        Ok(Self(dir.to_owned()))
    }

    pub(super) fn dir(&self) -> &Path {
        &self.0
    }
}

impl Drop for Small {
    fn drop(&mut self) {
        // What cannot be taken away again stays empty of processes, and goes with the machine.
        let _gone = Command::new("umount").arg(&self.0).stderr(Stdio::null()).status().is_ok();
    }
}

/// Whether this process may mount anything.
pub(super) fn may_mount() -> bool {
    static MAY: OnceLock<bool> = OnceLock::new();
    *MAY.get_or_init(|| tempfile::tempdir().is_ok_and(|dir| Small::mount(dir.path(), 64 * 1024).is_ok()))
}
