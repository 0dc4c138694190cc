//! `comity.transparency.v1.Transparency`: the decision log's files, receipts, and the erasing of records.

use std::sync::Arc;

use comity_proto::convert::{WireError, instant, wire_receipt};
use comity_proto::transparency::transparency_server::Transparency;
use comity_proto::transparency::{
    EraseRecordRequest, EraseRecordResponse, GetReceiptRequest, GetReceiptResponse, GetResourceRequest,
    GetResourceResponse, ListReceiptsRequest, ListReceiptsResponse,
};
use comity_transparency::tile::Resource;
use comity_types::{Clock, DecisionId, Timestamp, TrustDomain};
use futures::StreamExt as _;
use futures::stream::{self, BoxStream};
use tokio::sync::Semaphore;
use tonic::{Code, Request, Response, Status};

use super::{failure, invalid, ours, parse, viewer};
use crate::budgets::keeper::Keeper;
use crate::edge::CallerIdentity;
use crate::ledger::decisions::Ledger;
use crate::ledger::log::reader::FoundDecision;
use crate::ledger::receipts::{Part, ReceiptError, Receipts, Shown};

/// Longest path of a file of the log, in bytes: twenty digits in threes.
const MAX_PATH_BYTES: usize = 64;
/// The newest checkpoint with enough cosignatures, beside the files of the specification.
const COSIGNED: &str = "cosigned";
/// Decisions that are read from the disk at once for a list: a bundle, so that each file is read once or twice.
const PAGE: usize = 256;
/// Searches of the whole log at once: each reads the disk for as long as the log is, and whoever asks for decisions that are
/// none must not take the threads that others need.
const SEARCHES: usize = 4;

/// What it works with.
#[derive(Debug, Clone)]
pub struct Parts {
    /// The log.
    pub ledger: Ledger,
    /// Who keeps what was spent of budgets, where there are some: before a record goes that says it.
    pub keeper: Option<Keeper>,
    /// The time.
    pub clock: Arc<dyn Clock>,
    /// Decisions that one list of receipts is looked for among.
    pub listed: usize,
}

/// The service.
#[derive(Debug, Clone)]
pub struct Service {
    ledger: Ledger,
    keeper: Option<Keeper>,
    clock: Arc<dyn Clock>,
    listed: usize,
    searches: Arc<Semaphore>,
}

impl Service {
    /// Put together.
    #[must_use]
    pub fn new(Parts { ledger, keeper, clock, listed }: Parts) -> Self {
        Self { ledger, keeper, clock, listed, searches: Arc::new(Semaphore::new(SEARCHES)) }
    }

    fn receipts(&self) -> Receipts {
        Receipts::new(self.ledger.log().reader())
    }

    /// Searches the log, in turn with others. The turn lasts as long as the search, also when the caller leaves.
    async fn search<T: Send + 'static>(
        &self,
        search: impl FnOnce(&Receipts) -> Result<T, ReceiptError> + Send + 'static,
    ) -> Result<T, Status> {
        self.current().await?;
        // Never closed.
        let turn = Arc::clone(&self.searches).acquire_owned().await.ok();
        let receipts = self.receipts();
        let found = blocking(move || {
            let _turn = turn;
            search(&receipts)
        });
        found.await?.map_err(refused)
    }

    /// What was answered a moment ago is to be found.
    async fn current(&self) -> Result<(), Status> {
        self.ledger.log().flush().await.map_err(|error| ours(&error))
    }
}

fn not_found(message: String) -> Status {
    failure(Code::NotFound, "RESOURCE_NOT_FOUND", message, vec![])
}

#[tonic::async_trait]
impl Transparency for Service {
    async fn get_resource(
        &self,
        request: Request<GetResourceRequest>,
    ) -> Result<Response<GetResourceResponse>, Status> {
        let path = request.into_inner().path;
        if path.len() > MAX_PATH_BYTES {
            return Err(invalid("path", format!("at most {MAX_PATH_BYTES} bytes are allowed")));
        }
        let reader = self.ledger.log().reader();
        if path == COSIGNED {
            let cosigned = reader.cosigned().ok_or_else(|| {
                not_found(
                    "no checkpoint of the log has been cosigned by enough witnesses (hint: docs/witnesses.md)".into(),
                )
            })?;
            return Ok(Response::new(GetResourceResponse { content: cosigned.note.as_bytes().to_vec().into() }));
        }
        let expected = "expected `checkpoint`, `cosigned`, or a tile or a bundle as c2sp.org/tlog-tiles names it";
        let resource = Resource::parse(&path).ok_or_else(|| invalid("path", expected))?;
        let content = blocking(move || reader.resource(resource)).await?.map_err(|error| ours(&error))?;
        let content = content.ok_or_else(|| {
            not_found(format!("the log has no {path} yet (hint: its checkpoint says how large it is)"))
        })?;
        Ok(Response::new(GetResourceResponse { content: content.into() }))
    }

    async fn get_receipt(&self, request: Request<GetReceiptRequest>) -> Result<Response<GetReceiptResponse>, Status> {
        let (caller, request) = taken(request)?;
        let decision: DecisionId = parse("decision_id", &request.decision_id)?;
        let Shown { receipt, damaged } = self.search(move |receipts| receipts.of(decision, viewer(&caller))).await?;
        Ok(Response::new(GetReceiptResponse { receipt: Some(wire_receipt(&receipt)), damaged }))
    }

    type ListReceiptsStream = BoxStream<'static, Result<ListReceiptsResponse, Status>>;

    async fn list_receipts(
        &self,
        request: Request<ListReceiptsRequest>,
    ) -> Result<Response<Self::ListReceiptsStream>, Status> {
        let (caller, request) = taken(request)?;
        let from = time("from", request.from.as_ref())?.ok_or_else(|| invalid("from", "must be set"))?;
        let to = time("to", request.to.as_ref())?.unwrap_or_else(|| self.clock.now());
        let of: Option<TrustDomain> =
            if request.organisation.is_empty() { None } else { Some(parse("organisation", &request.organisation)?) };
        let (first, most) = (request.first_leaf, self.listed);
        let Part { found, next } = self.search(move |receipts| receipts.between(from, to, first, most)).await?;
        let (receipts, asking) = (self.receipts(), Arc::new((caller, of)));
        // A page is read when the caller has read the one before: a slow one holds no thread.
        let pages: Vec<Vec<_>> = found.chunks(PAGE).map(<[_]>::to_vec).collect();
        let read = move |page: Vec<FoundDecision>| {
            let (receipts, asking) = (receipts.clone(), Arc::clone(&asking));
            blocking(move || receipts.page(&page, viewer(&asking.0), asking.1.as_ref()))
        };
        let receipts = stream::iter(pages).then(read).map(|page| page.and_then(|page| page.map_err(refused)));
        let wire = |Shown { receipt, damaged }| {
            let receipt = Some(wire_receipt(&receipt));
            ListReceiptsResponse { receipt, damaged, ..ListReceiptsResponse::default() }
        };
        let one_by_one = receipts.flat_map(move |page| match page {
            Ok(page) => stream::iter(page.into_iter().map(|receipt| Ok(wire(receipt))).collect::<Vec<_>>()),
            Err(status) => stream::iter(vec![Err(status)]),
        });
        // Where the rest begins is said last: whoever reads it has read all before.
        let rest = next.map(|next_leaf| Ok(ListReceiptsResponse { next_leaf, ..ListReceiptsResponse::default() }));
        Ok(Response::new(one_by_one.chain(stream::iter(rest)).boxed()))
    }

    async fn erase_record(
        &self,
        request: Request<EraseRecordRequest>,
    ) -> Result<Response<EraseRecordResponse>, Status> {
        let (caller, request) = taken(request)?;
        let decision: DecisionId = parse("decision_id", &request.decision_id)?;
        let by = caller.id().clone();
        let indexes = self.search(move |receipts| receipts.erasable(decision, viewer(&caller))).await?;
        if let Some(keeper) = &self.keeper {
            // What was spent stays so, whatever becomes of the record.
            keeper.keep().await.map_err(|error| ours(&error))?;
        }
        // Before it is: the log goes on with it also when the caller has left, and says itself when it has gone.
        tracing::info!(decision.id = %decision, %by, log.leaves = ?indexes, "a record is erased");
        self.ledger.log().erase(indexes).await.map_err(|error| ours(&error))?;
        Ok(Response::new(EraseRecordResponse {}))
    }
}

/// The caller, and what it asks.
fn taken<T>(mut request: Request<T>) -> Result<(CallerIdentity, T), Status> {
    let caller = request.extensions_mut().remove::<CallerIdentity>();
    // The edge lets nobody in without one; without the edge, nobody is let in.
    let none =
        || failure(Code::Unauthenticated, "NO_CERTIFICATE", "this method needs a member's certificate".into(), vec![]);
    Ok((caller.ok_or_else(none)?, request.into_inner()))
}

fn time(field: &str, wire: Option<&prost_types::Timestamp>) -> Result<Option<Timestamp>, Status> {
    let read = |WireError { path, problem }: WireError| invalid(&path, problem);
    wire.map(|wire| instant(field, *wire).map_err(read)).transpose()
}

/// Reads from the disk away from the runtime's threads.
async fn blocking<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> Result<T, Status> {
    let stopping = |_| failure(Code::Unavailable, "STOPPING", "the broker is stopping".into(), vec![]);
    tokio::task::spawn_blocking(work).await.map_err(stopping)
}

fn refused(error: ReceiptError) -> Status {
    match error {
        ReceiptError::Log(error) => ours(&error),
        ReceiptError::Unknown(_) => {
            let message = format!(
                "{error} (hint: only who asked, who answered and operators of the federation see it; of one whose record was \
                 erased nobody can tell who that is)"
            );
            failure(Code::NotFound, "DECISION_NOT_FOUND", message, vec![])
        }
        ReceiptError::Running(_) => failure(Code::FailedPrecondition, "DECISION_RUNNING", error.to_string(), vec![]),
    }
}

#[cfg(test)]
mod tests;
