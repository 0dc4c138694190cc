//! Where the files of a log are had from: its broker, or a folder that somebody has copied.

use std::io;
use std::path::PathBuf;

use comity_proto::error::Detail;
use comity_proto::transparency::GetResourceRequest;
use comity_proto::transparency::transparency_client::TransparencyClient;
use comity_transparency::tile::{Resource, bundle, unbundle};
use tonic::Status;

use crate::connection::{Connection, Unary};

/// Bytes of a hash.
const HASH_BYTES: usize = 32;

/// The files of a log.
pub trait Files: Send {
    /// Reads one; none where there is no such file.
    ///
    /// # Errors
    /// It cannot be read.
    fn read(&mut self, resource: Resource) -> impl Future<Output = Result<Option<Vec<u8>>, FilesError>> + Send;

    /// Reads the newest checkpoint that enough witnesses have cosigned; none where there is none.
    ///
    /// # Errors
    /// It cannot be read.
    fn cosigned(&mut self) -> impl Future<Output = Result<Option<Vec<u8>>, FilesError>> + Send;
}

/// What it is called, beside the files of c2sp.org/tlog-tiles.
const COSIGNED: &str = "cosigned";

/// Why a file is not to be had.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum FilesError {
    /// The broker cannot be reached, or refuses.
    #[error("the broker's decision log cannot be read")]
    Call(#[source] Box<Status>),
    /// The disk.
    #[error("{} cannot be read", path.display())]
    Disk {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
}

/// The broker's files.
#[derive(Debug, Clone)]
pub struct FromBroker(TransparencyClient<Unary>);

impl FromBroker {
    /// Over this connection.
    #[must_use]
    pub fn new(connection: &Connection) -> Self {
        Self(TransparencyClient::new(connection.unary()))
    }
}

impl FromBroker {
    async fn get(&mut self, path: String) -> Result<Option<Vec<u8>>, FilesError> {
        match self.0.get_resource(GetResourceRequest { path }).await {
            Ok(answer) => Ok(Some(answer.into_inner().content.into())),
            Err(status) if Detail::of(&status).is_some_and(|detail| detail.reason == "RESOURCE_NOT_FOUND") => Ok(None),
            Err(status) => Err(FilesError::Call(Box::new(status))),
        }
    }
}

impl Files for FromBroker {
    async fn read(&mut self, resource: Resource) -> Result<Option<Vec<u8>>, FilesError> {
        self.get(resource.to_string()).await
    }

    async fn cosigned(&mut self) -> Result<Option<Vec<u8>>, FilesError> {
        self.get(COSIGNED.to_owned()).await
    }
}

/// A copy of a log's folder, or one that a web server serves.
#[derive(Debug, Clone)]
pub struct Folder(PathBuf);

impl Folder {
    /// The folder that `checkpoint` is in.
    #[must_use]
    pub const fn new(path: PathBuf) -> Self {
        Self(path)
    }

    fn file(&self, name: &str) -> Result<Option<Vec<u8>>, FilesError> {
        let path = self.0.join(name);
        match std::fs::read(&path) {
            Ok(bytes) => Ok(Some(bytes)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(source) => Err(FilesError::Disk { path, source }),
        }
    }
}

impl Files for Folder {
    /// A part of a tile is gone when the tile is full, of which it is the beginning (tlog-tiles, "Partial tiles").
    async fn read(&mut self, resource: Resource) -> Result<Option<Vec<u8>>, FilesError> {
        if let Some(bytes) = self.file(&resource.to_string())? {
            return Ok(Some(bytes));
        }
        Ok(match resource {
            Resource::Checkpoint => None,
            Resource::Tile { level, index, width } => {
                let whole = self.file(&Resource::Tile { level, index, width: 256 }.to_string())?;
                whole.and_then(|bytes| bytes.get(..usize::from(width) * HASH_BYTES).map(<[u8]>::to_vec))
            }
            Resource::Entries { index, width } => {
                let whole = self.file(&Resource::Entries { index, width: 256 }.to_string())?;
                whole.and_then(|bytes| bundle(unbundle(&bytes)?.into_iter().take(width.into())))
            }
        })
    }

    async fn cosigned(&mut self) -> Result<Option<Vec<u8>>, FilesError> {
        self.file(COSIGNED)
    }
}
