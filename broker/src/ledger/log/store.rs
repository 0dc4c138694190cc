//! The files that others read, below the log's directory:
//! ```text
//! checkpoint                     the log as it is published, signed by Ed25519 and ML-DSA-44
//! cosigned                       the newest checkpoint that enough witnesses have cosigned
//! tile/<L>/<N>[.p/<W>]           hashes                                      (c2sp.org/tlog-tiles)
//! tile/entries/<N>[.p/<W>]       leaves
//! records/<N>                    the records of a bundle's leaves; the one part that is not for everybody
//! open/<size>                    the decisions that wait for their outcome
//! wal/                           what is not published yet
//! ```
//! Every file is written beside and moved over. A part `.p/<W>` stays from the checkpoint that needs it until the whole is
//! published, and goes then: there are 255 at most of each level's last tile, of 1 MiB together, and of the last bundle, of
//! 3 MiB where a leaf has a hundred bytes. A bundle's records are one after another, each with its length in four
//! bytes, big-endian, before it; 0xffffffff stands for one that has been erased.

use std::collections::BTreeSet;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use comity_runtime::files::{Disk, System, sync_dir, write_durably_on};
use comity_transparency::tile::{Resource, WIDTH};

use super::{LogError, wal};

/// The length that means that the record has been erased.
const ERASED: u32 = u32::MAX;

/// The files of a log.
#[derive(Debug, Clone)]
pub(super) struct Store {
    dir: PathBuf,
    disk: Arc<dyn Disk>,
}

impl Store {
    /// To be read.
    pub(super) fn new(dir: &Path) -> Self {
        Self::on(dir, Arc::new(System))
    }

    /// To be written as well, on this disk.
    pub(super) fn on(dir: &Path, disk: Arc<dyn Disk>) -> Self {
        Self { dir: dir.to_owned(), disk }
    }

    /// Makes the directories of a log.
    pub(super) fn make(&self) -> Result<(), LogError> {
        let wal = self.wal();
        if wal.is_dir() { Ok(()) } else { make_dir(&*self.disk, &wal).map_err(|error| LogError::io(&wal, error)) }
    }

    pub(super) fn wal(&self) -> PathBuf {
        self.dir.join("wal")
    }

    /// Whether anything was ever published, or was about to be.
    pub(super) fn has_tiles(&self) -> bool {
        self.dir.join("tile").exists()
    }

    pub(super) fn path(&self, resource: Resource) -> PathBuf {
        self.dir.join(resource.to_string())
    }

    fn records_path(&self, bundle: u64) -> PathBuf {
        let entries = Resource::Entries { index: bundle, width: 256 }.to_string();
        self.dir.join(entries.replace("tile/entries", "records"))
    }

    /// Where the newest checkpoint is that enough witnesses have cosigned.
    pub(super) fn cosigned_path(&self) -> PathBuf {
        self.beside("cosigned")
    }

    /// Writes that checkpoint.
    pub(super) fn write_cosigned(&self, note: &str) -> Result<(), LogError> {
        self.write(&self.cosigned_path(), note.as_bytes())
    }

    /// A file of the log's own directory.
    pub(super) fn beside(&self, name: &str) -> PathBuf {
        self.dir.join(name)
    }

    /// Makes the names in the log's own directory durable, of which the checkpoint's is one.
    pub(super) fn sync(&self) -> Result<(), LogError> {
        sync_dir(&*self.disk, &self.dir).map_err(|error| LogError::io(&self.dir, error))
    }

    /// Takes segments away, for good: what was erased must not come back with a power cut.
    pub(super) fn drop_segments(&self, segments: &[u64]) -> Result<(), LogError> {
        let wal = self.wal();
        for first in segments {
            let path = wal::path(&wal, *first);
            std::fs::remove_file(&path).map_err(|error| LogError::io(&path, error))?;
        }
        if segments.is_empty() {
            Ok(())
        } else {
            sync_dir(&*self.disk, &wal).map_err(|error| LogError::io(&wal, error))
        }
    }

    /// Reads a file; none if it is not there.
    pub(super) fn read(path: &Path) -> Result<Option<Vec<u8>>, LogError> {
        match std::fs::read(path) {
            Ok(bytes) => Ok(Some(bytes)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(LogError::io(path, error)),
        }
    }

    /// Reads a tile or a bundle that a log of `size` leaves has. The whole one counts only where the part that belongs to the
    /// size has gone: one that a cut publication has left may rest on batches that a power cut has taken away.
    pub(super) fn resource(&self, resource: Resource, size: u64) -> Result<Option<Vec<u8>>, LogError> {
        let (whole, at) = match resource {
            Resource::Checkpoint => return Self::read(&self.path(resource)),
            Resource::Tile { level, index, .. } => {
                (Resource::Tile { level, index, width: 256 }, width(size, level, index))
            }
            Resource::Entries { index, .. } => (Resource::Entries { index, width: 256 }, width(size, 0, index)),
        };
        let part = match resource {
            Resource::Tile { level, index, .. } => Resource::Tile { level, index, width: at },
            Resource::Entries { index, .. } => Resource::Entries { index, width: at },
            Resource::Checkpoint => return Ok(None),
        };
        if at == 0 {
            return Ok(None);
        }
        match Self::read(&self.path(part))? {
            Some(bytes) => Ok(Some(bytes)),
            // The log has been published again since its size was looked at.
            None => Self::read(&self.path(whole)),
        }
    }

    /// Writes a file; its directory is made if need be.
    pub(super) fn write(&self, path: &Path, bytes: &[u8]) -> Result<(), LogError> {
        let failed = |error| LogError::io(path, error);
        if let Some(dir) = path.parent()
            && !dir.exists()
        {
            make_dir(&*self.disk, dir).map_err(failed)?;
        }
        write_durably_on(&*self.disk, path, bytes).map_err(failed)
    }

    /// Writes the records of a bundle.
    pub(super) fn write_records<'a>(
        &self,
        bundle: u64,
        records: impl IntoIterator<Item = Option<&'a [u8]>>,
    ) -> Result<(), LogError> {
        let mut bytes = Vec::new();
        for record in records {
            let length = record.map_or(ERASED, |record| u32::try_from(record.len()).unwrap_or(ERASED));
            bytes.extend_from_slice(&length.to_be_bytes());
            bytes.extend_from_slice(record.unwrap_or_default());
        }
        self.write(&self.records_path(bundle), &bytes)
    }

    /// The records of a bundle: each is there, or has been erased.
    pub(super) fn records(&self, bundle: u64) -> Result<Vec<Option<Vec<u8>>>, LogError> {
        let path = self.records_path(bundle);
        let bytes = Self::read(&path)?.unwrap_or_default();
        parse_records(&bytes).ok_or_else(|| LogError::Damaged { path, problem: "the records break off".into() })
    }

    /// What to say of the records of a bundle.
    pub(super) fn records_damaged(&self, bundle: u64, problem: &str) -> LogError {
        LogError::Damaged { path: self.records_path(bundle), problem: problem.into() }
    }

    /// Takes away the parts of a tile or a bundle that is not full yet which are wider than what was published of it: a
    /// publication that was cut has left them, perhaps of batches that a power cut has taken away since. All others stay,
    /// since whoever has the checkpoint of their size may ask for them (c2sp.org/tlog-tiles).
    pub(super) fn drop_unpublished(&self, resource: Resource, published: u16) -> Result<(), LogError> {
        let dir = self.parts(resource);
        let failed = |error| LogError::io(&dir, error);
        let files = match std::fs::read_dir(&dir) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
            files => files.map_err(failed)?,
        };
        let mut gone = false;
        for file in files {
            let file = file.map_err(failed)?;
            let width = file.file_name().to_str().and_then(|name| name.parse::<u16>().ok());
            if width.is_none_or(|width| width > published) {
                std::fs::remove_file(file.path()).map_err(failed)?;
                gone = true;
            }
        }
        // Before the next checkpoint: none that a power cut brings back may be taken for a part of what that covers.
        if gone { sync_dir(&*self.disk, &dir).map_err(failed) } else { Ok(()) }
    }

    /// Takes away the parts of tiles and bundles that are full and published, for good: the segments that a start would find out
    /// from that they are to go are taken away next. Those of all others stay.
    pub(super) fn tidy(&self, written: impl IntoIterator<Item = Resource>) -> Result<(), LogError> {
        // Each directory once: a publication fills many tiles of one level.
        let mut above = BTreeSet::new();
        for resource in written {
            match resource {
                Resource::Tile { width: 256, .. } | Resource::Entries { width: 256, .. } => {}
                Resource::Tile { .. } | Resource::Entries { .. } | Resource::Checkpoint => continue,
            }
            let dir = self.parts(resource);
            match std::fs::remove_dir_all(&dir) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(LogError::io(&dir, error)),
                // Also where nothing was there: a kill may have come between a removal and its sync.
                _ => above.extend(dir.parent().map(Path::to_owned)),
            }
        }
        above.iter().try_for_each(|dir| sync_dir(&*self.disk, dir).map_err(|error| LogError::io(dir, error)))
    }

    /// Where the parts of a tile or a bundle are.
    fn parts(&self, resource: Resource) -> PathBuf {
        let whole = match resource {
            Resource::Tile { level, index, .. } => Resource::Tile { level, index, width: 256 },
            Resource::Entries { index, .. } => Resource::Entries { index, width: 256 },
            Resource::Checkpoint => Resource::Checkpoint,
        };
        let mut dir = self.path(whole).into_os_string();
        dir.push(".p");
        dir.into()
    }
}

/// How many hashes a tile has in a log of `size` leaves, or entries a bundle.
pub(super) fn width(size: u64, level: u8, index: u64) -> u16 {
    let hashes = size.checked_shr(8 * u32::from(level)).unwrap_or_default();
    let rest = hashes.saturating_sub(index.saturating_mul(WIDTH)).min(WIDTH);
    u16::try_from(rest).unwrap_or_default()
}

fn parse_records(mut bytes: &[u8]) -> Option<Vec<Option<Vec<u8>>>> {
    let mut records = Vec::new();
    while !bytes.is_empty() {
        let (length, rest) = bytes.split_first_chunk()?;
        bytes = match u32::from_be_bytes(*length) {
            ERASED => {
                records.push(None);
                rest
            }
            length => {
                let (record, rest) = rest.split_at_checked(usize::try_from(length).ok()?)?;
                records.push(Some(record.to_vec()));
                rest
            }
        };
    }
    Some(records)
}

/// Makes a directory and those above it, each durable in its own.
fn make_dir(disk: &dyn Disk, dir: &Path) -> io::Result<()> {
    if let Some(above) = dir.parent()
        && !above.as_os_str().is_empty()
        && !above.exists()
    {
        make_dir(disk, above)?;
    }
    match std::fs::create_dir(dir) {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(error),
        _ => {}
    }
    dir.parent().filter(|above| !above.as_os_str().is_empty()).map_or(Ok(()), |above| sync_dir(disk, above))
}
