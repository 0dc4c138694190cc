//! HAProxy: one thread, HTTP/2 on both sides, connections to the backend shared by all.

use super::Place;
use crate::tls::HOST;

pub(super) fn set_up(place: &Place<'_>) -> (Vec<String>, &'static str) {
    let Place { address, backend, authority, server, client, .. } = place;
    let [authority, server, client] = [authority, &server.both, &client.both].map(|path| path.display().to_string());
    let config = format!(
        "
global
  nbthread 1
  maxconn 4096
  tune.h2.max-concurrent-streams 1024
  tune.h2.initial-window-size 1048576
  ssl-default-bind-options ssl-min-ver TLSv1.3 no-tls-tickets
  ssl-default-server-options ssl-min-ver TLSv1.3
defaults
  mode http
  option http-no-delay
  timeout connect 5s
  timeout client 1h
  timeout server 1h
frontend callers
  bind {address} ssl crt {server} ca-file {authority} verify required alpn h2
  default_backend nodes
backend nodes
  http-reuse always
  server node {backend} ssl crt {client} ca-file {authority} verify required verifyhost {HOST} sni str({HOST}) alpn h2
"
    );
    let file = place.folder.join("haproxy.cfg");
    std::fs::write(&file, config).unwrap();
    (["-db", "-f", &file.display().to_string()].map(str::to_owned).to_vec(), "-v")
}
