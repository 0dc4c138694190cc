//! Envoy: one worker, the router alone, HTTP/2 on both sides.

use serde_json::{Value, json};

use super::Place;
use crate::tls::{Files, HOST};

/// How many streams a connection may have, and how much of one and of all may be on its way.
fn http2() -> Value {
    json!({
        "max_concurrent_streams": 1024,
        "initial_stream_window_size": 1_048_576,
        "initial_connection_window_size": 16_777_216,
    })
}

pub(super) fn set_up(place: &Place<'_>) -> (Vec<String>, &'static str) {
    let config = json!({ "static_resources": { "listeners": [listener(place)], "clusters": [cluster(place)] } });
    let file = place.folder.join("envoy.json");
    std::fs::write(&file, config.to_string()).unwrap();
    let file = file.display().to_string();
    let arguments = ["-c", &file, "--concurrency", "1", "--disable-hot-restart", "--log-level", "error"];
    (arguments.map(str::to_owned).to_vec(), "--version")
}

fn listener(place: &Place<'_>) -> Value {
    let route = json!({ "match": { "prefix": "/" }, "route": { "cluster": "nodes", "timeout": "0s" } });
    let router = of("envoy.extensions.filters.http.router.v3.Router", json!({}));
    let connections = json!({
        "stat_prefix": "callers",
        "codec_type": "HTTP2",
        "http2_protocol_options": http2(),
        "stream_idle_timeout": "0s",
        "generate_request_id": false,
        "route_config": { "virtual_hosts": [{ "name": "all", "domains": ["*"], "routes": [route] }] },
        "http_filters": [{ "name": "router", "typed_config": router }],
    });
    let manager = "envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager";
    let tls =
        json!({ "require_client_certificate": true, "common_tls_context": tls(place, &place.server, &json!({})) });
    let tls = of("envoy.extensions.transport_sockets.tls.v3.DownstreamTlsContext", tls);
    json!({
        "name": "callers",
        "address": address(&place.address),
        "filter_chains": [{
            "filters": [{ "name": "http", "typed_config": of(manager, connections) }],
            "transport_socket": { "name": "tls", "typed_config": tls },
        }],
    })
}

fn cluster(place: &Place<'_>) -> Value {
    let name = json!({ "match_typed_subject_alt_names": [{ "san_type": "DNS", "matcher": { "exact": HOST } }] });
    let tls = json!({ "sni": HOST, "common_tls_context": tls(place, &place.client, &name) });
    let tls = of("envoy.extensions.transport_sockets.tls.v3.UpstreamTlsContext", tls);
    let options = "envoy.extensions.upstreams.http.v3.HttpProtocolOptions";
    let explicit = json!({ "explicit_http_config": { "http2_protocol_options": http2() } });
    let endpoint = json!({ "endpoint": { "address": address(place.backend) } });
    let limits = json!({ "max_connections": 4096, "max_pending_requests": 4096, "max_requests": 4096 });
    json!({
        "name": "nodes",
        "type": "STATIC",
        "connect_timeout": "5s",
        "circuit_breakers": { "thresholds": [limits] },
        "typed_extension_protocol_options": { options: of(options, explicit) },
        "load_assignment": { "cluster_name": "nodes", "endpoints": [{ "lb_endpoints": [endpoint] }] },
        "transport_socket": { "name": "tls", "typed_config": tls },
    })
}

/// TLS 1.3 with this certificate, and whoever the authority vouches for on the other side.
fn tls(place: &Place<'_>, own: &Files, theirs: &Value) -> Value {
    let mut validation = json!({ "trusted_ca": { "filename": place.authority } });
    validation.as_object_mut().unwrap().extend(theirs.as_object().unwrap().clone());
    json!({
        "alpn_protocols": ["h2"],
        "tls_params": { "tls_minimum_protocol_version": "TLSv1_3", "tls_maximum_protocol_version": "TLSv1_3" },
        "tls_certificates": [{ "certificate_chain": { "filename": own.certificate }, "private_key": { "filename": own.key } }],
        "validation_context": validation,
    })
}

/// A message of one of Envoy's types.
fn of(kind: &str, mut message: Value) -> Value {
    let kind = json!(format!("type.googleapis.com/{kind}"));
    message.as_object_mut().unwrap().insert("@type".to_owned(), kind);
    message
}

fn address(address: &str) -> Value {
    let (host, port) = address.rsplit_once(':').unwrap();
    json!({ "socket_address": { "address": host, "port_value": port.parse::<u16>().unwrap() } })
}
