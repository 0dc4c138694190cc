//! Every service that the broker serves, put together.

use comity_proto::catalog::catalog_server::CatalogServer;
use comity_proto::enrolment::enrolment_server::EnrolmentServer;
use comity_proto::membership::membership_server::MembershipServer;
use comity_proto::transparency::transparency_server::TransparencyServer;
use tonic::server::NamedService;
use tonic::service::{Routes, RoutesBuilder};
use tonic_health::ServingStatus;
use tonic_health::server::HealthReporter;

use crate::rpc::{catalog, enrolment, inference, membership, transparency};

/// Largest request on enrolment, in bytes: an application has at most 128 KiB, of which half are the offers that it names,
/// a third more as base64, and the signing request beside it 8 KiB.
pub(crate) const MAX_ENROLMENT_BYTES: usize = 192 * 1024;
/// Largest request on membership and catalog, in bytes: 256 offers with their terms have under 1 MiB.
const MAX_MEMBERSHIP_BYTES: usize = 4 * 1024 * 1024;

/// Largest request on the decision log, in bytes: a path, or an id.
const MAX_TRANSPARENCY_BYTES: usize = 4 * 1024;

/// The services, each ready to be asked.
pub(crate) struct Services {
    pub(crate) enrolment: enrolment::Service,
    pub(crate) membership: membership::Service,
    pub(crate) catalog: catalog::Catalog,
    pub(crate) inference: inference::Inference,
    pub(crate) transparency: transparency::Service,
}

/// Largest request that the service of `path` reads, in bytes. Inference reads its own and says so itself; what
/// stands beside our services has tonic's own limit, which is that of membership.
pub(crate) fn most_bytes(path: &str) -> usize {
    let enrolment = <EnrolmentServer<enrolment::Service> as NamedService>::NAME;
    let service = path.strip_prefix('/').and_then(|path| path.split('/').next());
    if service == Some(enrolment) { MAX_ENROLMENT_BYTES } else { MAX_MEMBERSHIP_BYTES }
}

/// The services that health tells of, and the broker as a whole.
const HEALTH_NAMES: &[&str] = &[
    "",
    <EnrolmentServer<enrolment::Service> as NamedService>::NAME,
    <MembershipServer<membership::Service> as NamedService>::NAME,
    <CatalogServer<catalog::Catalog> as NamedService>::NAME,
    <inference::Inference as NamedService>::NAME,
    <TransparencyServer<transparency::Service> as NamedService>::NAME,
];

/// All routes, with health and reflection beside the services.
pub(crate) fn routes(services: Services, health: &HealthReporter) -> Result<Routes, tonic_reflection::server::Error> {
    let mut routes = RoutesBuilder::default();
    routes
        .add_service(EnrolmentServer::new(services.enrolment).max_decoding_message_size(MAX_ENROLMENT_BYTES))
        .add_service(MembershipServer::new(services.membership).max_decoding_message_size(MAX_MEMBERSHIP_BYTES))
        .add_service(CatalogServer::new(services.catalog).max_decoding_message_size(MAX_MEMBERSHIP_BYTES))
        .add_service(services.inference)
        .add_service(TransparencyServer::new(services.transparency).max_decoding_message_size(MAX_TRANSPARENCY_BYTES))
        .add_service(tonic_health::pb::health_server::HealthServer::new(
            tonic_health::server::HealthService::from_health_reporter(health.clone()),
        ))
        .add_service(reflection().build_v1()?)
        .add_service(reflection().build_v1alpha()?);
    Ok(routes.routes())
}

fn reflection() -> tonic_reflection::server::Builder<'static> {
    tonic_reflection::server::Builder::configure()
        .register_encoded_file_descriptor_set(comity_proto::DESCRIPTORS)
        .register_encoded_file_descriptor_set(tonic_health::pb::FILE_DESCRIPTOR_SET)
}

/// Tells health that everything is served, or nothing.
pub(crate) async fn announce(health: &HealthReporter, status: ServingStatus) {
    for name in HEALTH_NAMES {
        health.set_service_status(*name, status).await;
    }
}

/// Tells health that nothing is served any more, and ends the streams of those who watch it.
pub(crate) async fn retire(health: &mut HealthReporter) {
    announce(health, ServingStatus::NotServing).await;
    for name in HEALTH_NAMES {
        health.clear_service_status(name).await;
    }
}
