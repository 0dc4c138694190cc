//! Folders as a whole, as who makes and brings back backups has them.

use std::fs;
use std::path::Path;

/// Copies a folder with all that is below it into another one, which is made.
///
/// # Panics
/// If it cannot be copied.
pub fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let (from, to) = (entry.path(), to.join(entry.file_name()));
        if from.is_dir() {
            copy(&from, &to);
        } else {
            let _bytes = fs::copy(from, to).unwrap();
        }
    }
}
