//! `comity log export --decisions`: the broker's decision log as files, for whoever reads c2sp.org/tlog-tiles.

use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use comity_proto::transparency::GetResourceRequest;
use comity_transparency::tile::{Resource, Tiles, WIDTH, unbundle};
use comity_transparency::tree::leaf_hash;
use comity_transparency::{Checkpoint, NoteVerifier, Tree};
use comity_types::Digest;
use serde_json::json;

use crate::args::Global;
use crate::error::CliError;
use crate::output::say;
use crate::progress::Progress;
use crate::session::Session;

/// Entries of a full bundle, and hashes of a full tile.
const FULL: u16 = 256;

/// Writes the log into `dir`. Whatever is in it of the log, a full bundle or tile, is not fetched again; the checkpoint in
/// it is the one that the broker's has to continue, and is replaced when all is there that the new one covers.
pub(super) async fn export(dir: &Path, global: &Global) -> Result<(), CliError> {
    let session = Session::open(global).await?;
    let root = session.identity().root();
    let key = NoteVerifier::of(&root.decision_log[0]);
    let open = |bytes: &[u8], whose: &str| {
        let text = String::from_utf8_lossy(bytes);
        Checkpoint::open(&text, &root.decision_log_origin(), &key)
            .map_err(|error| unbelieved(&format!("{whose} checkpoint: {error}"), dir))
    };
    let earlier = kept(&dir.join(Resource::Checkpoint.to_string()))?;
    let earlier = earlier.map(|bytes| open(&bytes, "the folder's")).transpose()?;
    let note = fetch(&session, Resource::Checkpoint).await?;
    let checkpoint = open(&note, "the broker's")?;
    if earlier.as_ref().is_some_and(|earlier| earlier.size > checkpoint.size) {
        return Err(unbelieved("it is shorter than the one that is kept here", dir));
    }
    let mut log = Copy { session: &session, dir, tree: Tree::default(), tiles: Tiles::default(), earlier };
    let progress = Progress::of(Some(checkpoint.size), "leaves");
    for bundle in 0..checkpoint.size.div_ceil(WIDTH) {
        log.take(bundle, checkpoint.size, &progress).await?;
    }
    drop(progress);
    if log.tree.root() != checkpoint.root {
        return Err(unbelieved("its leaves have another root than the broker signed", dir));
    }
    write(&dir.join(Resource::Checkpoint.to_string()), &note)?;
    report(&checkpoint, log.earlier.as_ref(), global)?;
    say(&format!("{} is a log as c2sp.org/tlog-tiles has it; docs/decision-log.md says who reads that", dir.display()));
    Ok(())
}

/// A log that is being copied.
struct Copy<'a> {
    session: &'a Session,
    dir: &'a Path,
    tree: Tree,
    /// What its tiles have to be.
    tiles: Tiles,
    earlier: Option<Checkpoint>,
}

impl Copy<'_> {
    /// Takes a bundle, and the tiles that end with it, into the folder.
    async fn take(&mut self, index: u64, size: u64, progress: &Progress) -> Result<(), CliError> {
        let width = u16::try_from((size - index * WIDTH).min(WIDTH)).unwrap_or(FULL);
        let bytes = self.resource(Resource::Entries { index, width }).await?;
        let leaves = unbundle(&bytes).filter(|leaves| leaves.len() == usize::from(width));
        for leaf in leaves.ok_or_else(|| unbelieved(&format!("bundle {index} breaks off"), self.dir))? {
            self.push(leaf_hash(leaf))?;
            progress.inc();
        }
        for (tile, made) in self.tiles.ending(self.tree.size(), size) {
            if made != self.resource(tile).await? {
                return Err(unbelieved(&format!("{tile} is not what its leaves make"), self.dir));
            }
        }
        self.tiles.forget(self.tree.size());
        Ok(())
    }

    fn push(&mut self, leaf: Digest) -> Result<(), CliError> {
        self.tree.push_hash(leaf);
        self.tiles.push(leaf);
        let known = self.earlier.as_ref().filter(|earlier| earlier.size == self.tree.size());
        if known.is_some_and(|earlier| earlier.root != self.tree.root()) {
            return Err(unbelieved("it does not continue the one that is kept here", self.dir));
        }
        Ok(())
    }

    /// A bundle or a tile: what is full stays what it is, and is fetched once.
    async fn resource(&self, resource: Resource) -> Result<Vec<u8>, CliError> {
        let path = self.dir.join(resource.to_string());
        let full = matches!(resource, Resource::Entries { width: FULL, .. } | Resource::Tile { width: FULL, .. });
        if full && let Some(bytes) = kept(&path)? {
            return Ok(bytes);
        }
        let bytes = fetch(self.session, resource).await?;
        write(&path, &bytes)?;
        Ok(bytes)
    }
}

async fn fetch(session: &Session, resource: Resource) -> Result<Vec<u8>, CliError> {
    let request = GetResourceRequest { path: resource.to_string() };
    let answer = session.transparency().get_resource(request).await;
    Ok(answer.map_err(|status| CliError::call("fetch the decision log", status))?.into_inner().content.into())
}

/// A file's bytes; none if it is not there.
fn kept(path: &Path) -> Result<Option<Vec<u8>>, CliError> {
    match fs::read(path) {
        Ok(bytes) => Ok(Some(bytes)),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
        Err(source) => Err(CliError::File { doing: "read", path: path.to_owned(), source }),
    }
}

/// Writes a file beside and moves it over, so that nobody reads half of one.
fn write(path: &Path, bytes: &[u8]) -> Result<(), CliError> {
    let failed = |source| CliError::File { doing: "write", path: path.to_owned(), source };
    path.parent().map_or(Ok(()), fs::create_dir_all).map_err(failed)?;
    let beside = PathBuf::from(format!("{}.new", path.display()));
    fs::write(&beside, bytes).and_then(|()| fs::rename(&beside, path)).map_err(failed)
}

fn unbelieved(problem: &str, dir: &Path) -> CliError {
    CliError::Failed {
        problem: format!("the decision log is not to be believed: {problem}"),
        hint: format!(
            "keep {} as it is and write to an empty folder: if that fails too, or says another root, tell the operators",
            dir.display()
        ),
    }
}

fn report(log: &Checkpoint, earlier: Option<&Checkpoint>, global: &Global) -> Result<(), CliError> {
    let continued = earlier.map(|earlier| earlier.size);
    let mut fields =
        vec![("verified", log.origin.clone()), ("leaves", log.size.to_string()), ("root", log.root.to_string())];
    fields.extend(continued.map(|size| ("continues", format!("the {size} leaves that were here"))));
    let json = json!({ "verified": log.origin, "leaves": log.size, "root": log.root, "continues": continued });
    global.output.record(fields, &json)
}
