//! nginx: one worker, which keeps its connections to the backend. Each of them has one request at a time, by nginx's design.

use super::Place;
use crate::tls::HOST;

pub(super) fn set_up(place: &Place<'_>) -> (Vec<String>, &'static str) {
    let Place { folder, address, backend, authority, server, client } = place;
    let [folder, authority] = [folder, authority].map(|path| path.display().to_string());
    let [certificate, key] = [&server.certificate, &server.key].map(|path| path.display().to_string());
    let [client_certificate, client_key] = [&client.certificate, &client.key].map(|path| path.display().to_string());
    let config = format!(
        r"
daemon off;
worker_processes 1;
pid {folder}/pid;
error_log stderr error;
events {{ worker_connections 4096; }}
http {{
  access_log off;
  tcp_nodelay on;
  keepalive_requests 1000000000;
  keepalive_timeout 1h;
  http2_max_concurrent_streams 1024;
  http2_recv_buffer_size 512k;
  client_max_body_size 16m;
  client_body_temp_path {folder}/body;
  proxy_temp_path {folder}/proxy;
  fastcgi_temp_path {folder}/fastcgi;
  uwsgi_temp_path {folder}/uwsgi;
  scgi_temp_path {folder}/scgi;
  upstream backend {{
    server {backend};
    keepalive 256;
    keepalive_requests 1000000000;
    keepalive_timeout 1h;
  }}
  server {{
    listen {address} ssl http2;
    ssl_certificate {certificate};
    ssl_certificate_key {key};
    ssl_client_certificate {authority};
    ssl_verify_client on;
    ssl_protocols TLSv1.3;
    ssl_session_tickets off;
    ssl_session_cache off;
    location / {{
      grpc_pass grpcs://backend;
      grpc_ssl_protocols TLSv1.3;
      grpc_ssl_certificate {client_certificate};
      grpc_ssl_certificate_key {client_key};
      grpc_ssl_trusted_certificate {authority};
      grpc_ssl_verify on;
      grpc_ssl_server_name on;
      grpc_ssl_name {HOST};
      grpc_buffer_size 32k;
      grpc_read_timeout 1h;
      grpc_send_timeout 1h;
    }}
  }}
}}
"
    );
    let file = place.folder.join("nginx.conf");
    std::fs::write(&file, config).unwrap();
    let arguments = ["-e", "stderr", "-p", &folder, "-c", &file.display().to_string()];
    (arguments.map(str::to_owned).to_vec(), "-v")
}
