//! A collector of OpenTelemetry's, which keeps what it is sent: by OTLP over gRPC, as any other takes it.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::thread;

use opentelemetry_proto::tonic::collector::trace::v1::trace_service_server::{TraceService, TraceServiceServer};
use opentelemetry_proto::tonic::collector::trace::v1::{ExportTraceServiceRequest, ExportTraceServiceResponse};
use opentelemetry_proto::tonic::common::v1::any_value::Value;
use opentelemetry_proto::tonic::trace::v1::Span;
use prost::Message as _;
use tonic::transport::Server;
use tonic::{Request, Response, Status};

use crate::federation::free_address;

/// The collector; runs until the test ends.
#[derive(Debug, Clone, Default)]
pub struct Collector {
    address: String,
    got: Arc<Mutex<Vec<ExportTraceServiceRequest>>>,
}

#[tonic::async_trait]
impl TraceService for Collector {
    async fn export(
        &self,
        request: Request<ExportTraceServiceRequest>,
    ) -> Result<Response<ExportTraceServiceResponse>, Status> {
        self.got.lock().unwrap().push(request.into_inner());
        Ok(Response::new(ExportTraceServiceResponse::default()))
    }
}

impl Collector {
    /// Listens on a free port.
    #[must_use]
    pub fn start() -> Self {
        let collector = Self { address: free_address(), ..Self::default() };
        let (address, service): (SocketAddr, _) =
            (collector.address.parse().unwrap(), TraceServiceServer::new(collector.clone()));
        thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            runtime.block_on(Server::builder().add_service(service).serve(address)).unwrap();
        });
        collector
    }

    /// Where it is, as a configuration names it.
    #[must_use]
    pub fn endpoint(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Every span, with the name of the program that made it.
    #[must_use]
    pub fn spans(&self) -> Vec<(String, Span)> {
        let got = self.got.lock().unwrap();
        let of = got.iter().flat_map(|all| &all.resource_spans);
        let named = of.map(|of| {
            let attributes = &of.resource.as_ref().unwrap().attributes;
            let name = attributes.iter().find(|attribute| attribute.key == "service.name").unwrap();
            let Some(Value::StringValue(name)) = &name.value.as_ref().unwrap().value else { panic!("no name") };
            (name.clone(), of.scope_spans.iter().flat_map(|scope| scope.spans.clone()).collect::<Vec<_>>())
        });
        named.flat_map(|(name, spans)| spans.into_iter().map(move |span| (name.clone(), span))).collect()
    }

    /// All that it was sent, byte by byte, and as it reads.
    #[must_use]
    pub fn received(&self) -> Vec<u8> {
        let got = self.got.lock().unwrap();
        let bytes = got.iter().flat_map(|all| [all.encode_to_vec(), format!("{all:?}").into_bytes()]);
        bytes.collect::<Vec<_>>().concat()
    }
}

/// A text that a span says; nothing where it does not.
#[must_use]
pub fn said(span: &Span, key: &str) -> Option<String> {
    let value = span.attributes.iter().find(|attribute| attribute.key == key)?.value.as_ref()?.value.as_ref()?;
    if let Value::StringValue(text) = value {
        return Some(text.clone());
    }
    let Value::IntValue(number) = value else { panic!("{key} is {value:?}") };
    Some(number.to_string())
}
