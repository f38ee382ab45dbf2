//! Disks that can be filled.

use std::fs::File;
use std::io::{Read, copy, repeat};
use std::path::PathBuf;
use std::process::Command;

use nix::unistd::Uid;

use crate::{Folder, output};

/// A small disk of its own, in memory. Making it takes root, or sudo without a question.
#[derive(Debug)]
pub struct Disk {
    folder: Folder,
    bytes: u64,
}

impl Disk {
    /// A disk of so many bytes.
    ///
    /// # Panics
    /// When it cannot be mounted.
    pub fn new(bytes: u64) -> Self {
        let folder = Folder::new("disk");
        let disk = Self { folder, bytes };
        std::fs::create_dir(disk.path()).expect("an own folder takes a folder");
        let mut mount = as_root("mount");
        mount.args(["-t", "tmpfs", "-o", &format!("size={bytes},mode=1777"), "hoop-disk"]).arg(disk.path());
        output(&mut mount, b"").ok();
        disk
    }

    /// Where it is.
    pub fn path(&self) -> PathBuf {
        self.folder.join("disk")
    }

    /// Leaves about this much of it free; what others have written is not much.
    ///
    /// # Panics
    /// When others have written too much.
    pub fn leave_percent(&self, free: u64) {
        let mut ballast = File::create(self.ballast()).expect("a disk takes a file");
        let length = self.bytes / 100 * (100 - free);
        copy(&mut repeat(1).take(length), &mut ballast).expect("there is room");
    }

    /// Takes away what filled it.
    ///
    /// # Panics
    /// When nothing did.
    pub fn clear(&self) {
        std::fs::remove_file(self.ballast()).expect("the disk was filled");
    }

    fn ballast(&self) -> PathBuf {
        self.path().join("ballast")
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        // Lazily: who has a file open there may be on its way out still.
        let _ = as_root("umount").arg("--lazy").arg(self.path()).status();
    }
}

fn as_root(program: &str) -> Command {
    if Uid::effective().is_root() {
        return Command::new(program);
    }
    let mut sudo = Command::new("sudo");
    sudo.arg("--non-interactive").arg(program);
    sudo
}
