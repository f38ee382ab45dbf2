//! Services that speak HTTP: well-known servers with a configuration of their own, and one in the test's process.

mod echo;
mod grpc;
mod hostile;
mod nginx;
mod programs;

pub use echo::HttpEcho;
pub use grpc::Grpc;
pub use hostile::Told;
pub use nginx::Nginx;
pub use programs::{Calls, Node, Site, Uvicorn};

use std::future::Future;
use std::net::{Ipv4Addr, TcpStream};
use std::thread::JoinHandle;
use std::time::Duration;

use tokio::net::TcpListener;
use tokio::sync::oneshot;

use crate::{Guarded, until};

/// How long a server may take to be ready.
const READY: Duration = Duration::from_secs(120);

/// Waits until a server takes connections.
fn wait_for(name: &str, server: &Guarded, port: u16) {
    until(READY, name, || {
        assert!(server.is_alive(), "{name} ended: {}", server.log());
        TcpStream::connect((Ipv4Addr::LOCALHOST, port)).ok()
    });
}

/// A server in the test's process. It ends with its handle.
#[derive(Debug)]
struct InProcess {
    /// Where it listens, on 127.0.0.1.
    port: u16,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl InProcess {
    fn start<F, Fut>(serve: F) -> Self
    where
        F: FnOnce(TcpListener) -> Fut + Send + 'static,
        Fut: Future<Output = ()>,
    {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build();
        let runtime = runtime.expect("a runtime");
        let listener = runtime.block_on(TcpListener::bind((Ipv4Addr::LOCALHOST, 0))).expect("a port is free");
        let port = listener.local_addr().expect("a bound socket has an address").port();
        let (stop, stopped) = oneshot::channel::<()>();
        let thread = std::thread::spawn(move || {
            runtime.block_on(async {
                tokio::select! {
                    () = serve(listener) => {}
                    _ = stopped => {}
                }
            });
            runtime.shutdown_background();
        });
        Self { port, stop: Some(stop), thread: Some(thread) }
    }
}

impl Drop for InProcess {
    fn drop(&mut self) {
        drop(self.stop.take());
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

#[cfg(test)]
mod tests {
    use std::process::Command;

    use super::*;
    use crate::clients::made;
    use crate::{find, output};

    fn curl(arguments: &[&str]) -> String {
        output(Command::new(find("curl", "curl")).arg("-sS").args(arguments), b"").ok()
    }

    #[test]
    fn each_server_answers_as_it_says() {
        let (nginx, node, uvicorn) = (Nginx::start(), Node::start(), Uvicorn::start());
        let status = ["-o", "/dev/null", "-w", "%{http_code}"];
        let at = |url: String, path: &str| format!("{url}{path}");
        assert_eq!(curl(&["-r", "2-4", &at(nginx.url(), "/digits.txt")]), "234");
        assert_eq!(curl(&[status.as_slice(), &[&at(nginx.url(), "/proxy/x")]].concat()), "502");
        assert_eq!(
            curl(&[status.as_slice(), &["-u", "app:s3cret", &at(nginx.url(), "/secret/digits.txt")]].concat()),
            "200"
        );
        for url in [node.url(), uvicorn.url()] {
            let told: serde_json::Value =
                serde_json::from_str(&curl(&["-d", "body", &at(url.clone(), "/a?b=c")])).expect("JSON");
            assert_eq!(
                (&told["method"], &told["path"], &told["body"]),
                (&"POST".into(), &"/a?b=c".into(), &"body".into())
            );
            assert_eq!(curl(&[&at(url.clone(), "/chunked")]), "one\ntwo\nthree\n");
            assert!(curl(&[&at(url, "/events")]).ends_with("data: event 3\n\n"));
        }
        let echo = HttpEcho::start();
        for version in ["--http1.1", "--http2-prior-knowledge"] {
            assert_eq!(curl(&[version, "-d", "body", &at(echo.url(), "/echo")]), "body");
            assert_eq!(curl(&[version, "-d", "body", &at(echo.url(), "/sink")]), "4");
            assert_eq!(curl(&[version, &at(echo.url(), "/source?200000")]).len(), 200_000);
        }
        assert!(echo.received()[0].starts_with(b"POST /echo HTTP/1.1\r\n"));
        assert!(echo.received().iter().any(|bytes| bytes.starts_with(b"PRI * HTTP/2.0\r\n")));
    }

    #[test]
    fn the_grpc_service_tells_of_itself_and_answers() {
        let grpc = Grpc::start();
        let address = format!("127.0.0.1:{}", grpc.port());
        let grpcurl = |arguments: &[&str]| {
            output(Command::new(made("http-tools/grpcurl")).arg("-plaintext").args(arguments), b"")
        };
        assert!(grpcurl(&[&address, "list"]).ok().contains("shop.v1.Customers\n"));
        assert!(grpcurl(&["-d", r#"{"id":1}"#, &address, "shop.v1.Customers/Get"]).ok().contains("Ada Lovelace"));
        assert!(grpcurl(&[&address, "grpc.health.v1.Health/Check"]).ok().contains("SERVING"));
        assert!(grpcurl(&["-d", r#"{"id":9}"#, &address, "shop.v1.Customers/Get"]).failure().contains("NotFound"));
    }
}
