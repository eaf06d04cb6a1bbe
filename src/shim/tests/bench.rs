//! A client, a cpsrvd and a `serve` around a shim.

use super::super::listen::Shim;
use super::super::normalise::Service;
use super::super::{Entrance, Limits, Settings};
use crate::error::Error;
use crate::wire::{Answer, Routing, read_line, write_line};
use bytes::Bytes;
use http_body_util::{BodyExt as _, Full, StreamBody, combinators::BoxBody};
use hyper::body::{Frame, Incoming};
use hyper::service::service_fn;
use hyper::{Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use rustls::pki_types::{CertificateDer, ServerName};
use serde_json::{Value, json};
use std::convert::Infallible;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::{Arc, Mutex};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::{TcpListener, TcpStream, UnixListener};
use tokio::sync::{mpsc, oneshot, watch};
use tokio::task::JoinHandle;
use tokio_rustls::client::TlsStream;
use tokio_rustls::{TlsAcceptor, TlsConnector};

pub const HOSTNAME: &str = "parent.lab.test";

/// A request that cpsrvd saw.
#[derive(Debug, Clone)]
pub struct Seen {
    pub uri: String,
    pub headers: hyper::HeaderMap,
    pub body: String,
}

impl Seen {
    pub fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |value| value.to_str().unwrap())
    }
}

/// A request to be sent.
pub struct Ask(hyper::http::request::Builder, String);

impl Ask {
    pub fn get(path: &str) -> Self {
        Self(Request::get(path).header("host", HOSTNAME), String::new())
    }
    pub fn head(path: &str) -> Self {
        Self(Request::head(path).header("host", HOSTNAME), String::new())
    }
    pub fn post(path: &str, body: &str) -> Self {
        Self(
            Request::post(path).header("host", HOSTNAME).header("content-type", "application/x-www-form-urlencoded"),
            body.to_owned(),
        )
    }
    pub fn header(self, name: &str, value: &str) -> Self {
        Self(self.0.header(name, value), self.1)
    }
    pub fn root(self) -> Self {
        self.header("authorization", "whm root:T")
    }
    pub fn cpanel(self, user: &str) -> Self {
        self.header("authorization", &format!("cpanel {user}:T"))
    }
    pub fn basic(self, user: &str) -> Self {
        use base64::Engine as _;
        let text = base64::engine::general_purpose::STANDARD.encode(format!("{user}:T"));
        self.header("authorization", &format!("Basic {text}"))
    }
}

/// An answer that came.
pub struct Answered {
    pub status: u16,
    pub body: Bytes,
}

impl Answered {
    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|_| panic!("no JSON: {}", self.text()))
    }
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }
}

pub struct Bench {
    pub whm: SocketAddr,
    pub cpanel: SocketAddr,
    pub webmail: SocketAddr,
    plain: SocketAddr,
    dir: tempfile::TempDir,
    seen: Arc<Mutex<Vec<Seen>>>,
    served: Arc<Mutex<Vec<Value>>>,
    agents: Arc<Mutex<Option<Error>>>,
    serve: Option<JoinHandle<()>>,
    connector: TlsConnector,
    stop: Option<oneshot::Sender<()>>,
    shim: Option<JoinHandle<()>>,
}

fn provider() -> Arc<rustls::crypto::CryptoProvider> {
    Arc::new(rustls::crypto::ring::default_provider())
}

fn issue(names: &[&str], path: &Path) -> CertificateDer<'static> {
    let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
    let made = rcgen::generate_simple_self_signed(names).unwrap();
    std::fs::create_dir_all(path.parent().unwrap()).unwrap();
    std::fs::write(path, format!("{}{}", made.signing_key.serialize_pem(), made.cert.pem())).unwrap();
    made.cert.der().clone()
}

impl Bench {
    pub async fn start(routing: Option<Routing>) -> Self {
        Self::start_with_role(routing, "unlinked\n").await
    }

    pub async fn start_with_role(routing: Option<Routing>, role: &str) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let certificate = issue(&[HOSTNAME], &dir.path().join("tls/default.pem"));
        std::fs::write(dir.path().join("role"), role).unwrap();
        let socket = dir.path().join("shim.sock");
        let (seen, served, agents) = (Arc::default(), Arc::default(), Arc::default());
        let version = routing.as_ref().map(|routing| routing.version);
        let serve = routing.map(|routing| {
            let listener = UnixListener::bind(&socket).unwrap();
            tokio::spawn(serve(listener, routing, Arc::clone(&served), Arc::clone(&agents)))
        });
        let mut entrances = Vec::new();
        for (service, tls) in [(Service::Whm, true), (Service::Cpanel, true), (Service::Webmail, true), (Service::Whm, false)] {
            let acceptor = tls.then(|| acceptor(&dir.path().join("tls/default.pem")));
            let upstream = cpsrvd(acceptor, Arc::clone(&seen)).await;
            entrances.push(Entrance { service, tls, listen: "127.0.0.1:0".parse().unwrap(), upstream });
        }
        let limits = Limits { proof: std::time::Duration::from_secs(60), ..Limits::default() };
        let settings = Settings {
            entrances,
            socket,
            tls_dir: dir.path().join("tls"),
            role_file: dir.path().join("role"),
            hostname: HOSTNAME.into(),
            limits,
        };
        let shim = Shim::bind(settings).await.unwrap();
        let at: Vec<SocketAddr> = shim.entrances().iter().map(|entrance| entrance.listen).collect();
        if let Some(version) = version {
            let mut routes = shim.front().routes().clone();
            tokio::time::timeout(std::time::Duration::from_secs(10), routes.wait_for(version)).await.unwrap();
        }
        let (stop, stopped) = oneshot::channel();
        let shim = tokio::spawn(shim.serve(async move {
            let _ = stopped.await;
        }));
        let mut roots = rustls::RootCertStore::empty();
        roots.add(certificate).unwrap();
        let config = rustls::ClientConfig::builder_with_provider(provider()).with_safe_default_protocol_versions().unwrap();
        let connector = TlsConnector::from(Arc::new(config.with_root_certificates(roots).with_no_client_auth()));
        Self {
            whm: at[0],
            cpanel: at[1],
            webmail: at[2],
            plain: at[3],
            dir,
            seen,
            served,
            agents,
            serve,
            connector,
            stop: Some(stop),
            shim: Some(shim),
        }
    }

    async fn connect(&self, to: SocketAddr) -> TlsStream<TcpStream> {
        let stream = TcpStream::connect(to).await.unwrap();
        self.connector.connect(ServerName::try_from(HOSTNAME).unwrap(), stream).await.unwrap()
    }

    async fn call(&self, to: SocketAddr, ask: Ask) -> Answered {
        let request = ask.0.body(Full::new(Bytes::from(ask.1))).unwrap();
        let stream = TokioIo::new(self.connect(to).await);
        let (mut sender, connection) = hyper::client::conn::http1::handshake(stream).await.unwrap();
        tokio::spawn(connection);
        let answer = sender.send_request(request).await.unwrap();
        let status = answer.status().as_u16();
        Answered { status, body: answer.into_body().collect().await.unwrap().to_bytes() }
    }

    pub async fn whm(&self, ask: Ask) -> Answered {
        self.call(self.whm, ask).await
    }
    pub async fn cpanel(&self, ask: Ask) -> Answered {
        self.call(self.cpanel, ask).await
    }
    pub async fn webmail_call(&self, ask: Ask) -> Answered {
        self.call(self.webmail, ask).await
    }

    /// Sends bytes to the plain WHM port and reads until the end.
    pub async fn raw(&self, text: &str) -> String {
        let mut stream = TcpStream::connect(self.plain).await.unwrap();
        stream.write_all(text.as_bytes()).await.unwrap();
        let mut answer = String::new();
        let _ = stream.read_to_string(&mut answer).await;
        answer
    }

    pub async fn trickle(&self, path: &str) -> (Sender, Pieces) {
        let (send, receive) = mpsc::channel::<Bytes>(1);
        let stream = futures_util::stream::unfold(receive, async |mut receive| {
            let piece = receive.recv().await?;
            Some((Ok::<_, Infallible>(Frame::data(piece)), receive))
        });
        let request = Request::post(path).header("host", HOSTNAME).body(StreamBody::new(Box::pin(stream))).unwrap();
        let (mut sender, connection) =
            hyper::client::conn::http1::handshake(TokioIo::new(self.connect(self.whm).await)).await.unwrap();
        tokio::spawn(connection);
        let answer = sender.send_request(request).await.unwrap();
        (Sender(send), Pieces(answer.into_body()))
    }

    pub async fn upgrade(&self, to: SocketAddr, path: &str, protocol: &str, authorization: Option<&str>) -> Result<Socket, u16> {
        let mut request =
            Request::post(path).header("host", HOSTNAME).header("connection", "Upgrade").header("upgrade", protocol);
        if let Some(value) = authorization {
            request = request.header("authorization", value);
        }
        let request = request.body(Full::new(Bytes::new())).unwrap();
        let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(self.connect(to).await)).await.unwrap();
        tokio::spawn(connection.with_upgrades());
        let answer = sender.send_request(request).await.unwrap();
        if answer.status() != StatusCode::SWITCHING_PROTOCOLS {
            return Err(answer.status().as_u16());
        }
        assert_eq!(answer.headers()["upgrade"], protocol);
        Ok(Socket(TokioIo::new(hyper::upgrade::on(answer).await.unwrap())))
    }

    pub async fn certificate(&self, name: &str) -> Vec<u8> {
        let stream = TcpStream::connect(self.whm).await.unwrap();
        let config = rustls::ClientConfig::builder_with_provider(provider())
            .with_safe_default_protocol_versions()
            .unwrap()
            .dangerous()
            .with_custom_certificate_verifier(Arc::new(Anything))
            .with_no_client_auth();
        let name = ServerName::try_from(name.to_owned()).unwrap();
        let stream = TlsConnector::from(Arc::new(config)).connect(name, stream).await.unwrap();
        stream.get_ref().1.peer_certificates().unwrap()[0].to_vec()
    }

    pub fn new_certificate(&self, file: &str, names: &[&str]) {
        issue(names, &self.dir.path().join("tls").join(file));
    }

    /// The last request for this path.
    pub fn seen(&self, path: &str) -> Seen {
        let all = self.all_seen();
        all.iter()
            .rev()
            .find(|seen| seen.uri.starts_with(path))
            .cloned()
            .unwrap_or_else(|| panic!("cpsrvd did not see {path}: {all:?}"))
    }

    pub fn all_seen(&self) -> Vec<Seen> {
        self.seen.lock().unwrap().clone()
    }

    /// What `serve` was asked, but for the routing.
    pub fn served(&self) -> Vec<Value> {
        self.served.lock().unwrap().clone()
    }

    pub fn refuse_agents(&self, error: Error) {
        *self.agents.lock().unwrap() = Some(error);
    }

    pub async fn stop_serve(&mut self) {
        if let Some(serve) = self.serve.take() {
            serve.abort();
            let _ = serve.await;
        }
        std::fs::remove_file(self.dir.path().join("shim.sock")).unwrap();
    }

    pub fn stop(&mut self) {
        let _ = self.stop.take().unwrap().send(());
    }

    pub async fn stopped(mut self) {
        tokio::time::timeout(std::time::Duration::from_secs(10), self.shim.take().unwrap()).await.unwrap().unwrap();
    }
}

pub struct Sender(mpsc::Sender<Bytes>);
impl Sender {
    pub async fn send(&mut self, piece: &'static str) {
        self.0.send(Bytes::from_static(piece.as_bytes())).await.unwrap();
    }
}

pub struct Pieces(Incoming);
impl Pieces {
    pub async fn next(&mut self) -> String {
        let frame = tokio::time::timeout(std::time::Duration::from_secs(10), self.0.frame()).await.expect("a piece in time");
        String::from_utf8(frame.unwrap().unwrap().into_data().unwrap().to_vec()).unwrap()
    }
}

pub struct Socket(TokioIo<hyper::upgrade::Upgraded>);
impl Socket {
    pub async fn echo(&mut self, text: &str) -> String {
        self.0.write_all(text.as_bytes()).await.unwrap();
        self.0.flush().await.unwrap();
        let mut back = vec![0; text.len()];
        self.0.read_exact(&mut back).await.unwrap();
        String::from_utf8(back).unwrap()
    }
}

fn acceptor(pem: &Path) -> TlsAcceptor {
    use rustls::pki_types::PrivateKeyDer;
    use rustls::pki_types::pem::PemObject as _;
    let chain = CertificateDer::pem_file_iter(pem).unwrap().map(Result::unwrap).collect();
    let config = rustls::ServerConfig::builder_with_provider(provider()).with_safe_default_protocol_versions().unwrap();
    let config = config.with_no_client_auth().with_single_cert(chain, PrivateKeyDer::from_pem_file(pem).unwrap()).unwrap();
    TlsAcceptor::from(Arc::new(config))
}

async fn cpsrvd(acceptor: Option<TlsAcceptor>, seen: Arc<Mutex<Vec<Seen>>>) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let at = listener.local_addr().unwrap();
    tokio::spawn(async move {
        loop {
            let (stream, _) = listener.accept().await.unwrap();
            let (acceptor, seen) = (acceptor.clone(), Arc::clone(&seen));
            tokio::spawn(async move {
                let service = service_fn(move |request| cpsrvd_answers(request, Arc::clone(&seen)));
                let server = hyper::server::conn::http1::Builder::new();
                match acceptor {
                    Some(acceptor) => {
                        if let Ok(stream) = acceptor.accept(stream).await {
                            let _ = server.serve_connection(TokioIo::new(stream), service).with_upgrades().await;
                        }
                    }
                    None => drop(server.serve_connection(TokioIo::new(stream), service).with_upgrades().await),
                }
            });
        }
    });
    at
}

type Out = BoxBody<Bytes, hyper::Error>;

fn whole(status: u16, text: impl Into<Bytes>) -> Response<Out> {
    Response::builder().status(status).body(Full::new(text.into()).map_err(|never| match never {}).boxed()).unwrap()
}

async fn cpsrvd_answers(mut request: Request<Incoming>, seen: Arc<Mutex<Vec<Seen>>>) -> Result<Response<Out>, Infallible> {
    let (uri, headers) = (request.uri().clone(), request.headers().clone());
    let note = |body: String| seen.lock().unwrap().push(Seen { uri: uri.to_string(), headers: headers.clone(), body });
    if uri.path() == "/echo" {
        note(String::new());
        return Ok(Response::new(request.into_body().boxed()));
    }
    if uri.path() == "/socket" {
        let upgraded = hyper::upgrade::on(&mut request);
        tokio::spawn(async move { shout(TokioIo::new(upgraded.await.unwrap())).await });
        let mut answer = whole(101, "");
        answer.headers_mut().insert("connection", "upgrade".parse().unwrap());
        answer.headers_mut().insert("upgrade", headers["upgrade"].clone());
        return Ok(answer);
    }
    let body = String::from_utf8(request.into_body().collect().await.unwrap().to_bytes().to_vec()).unwrap();
    note(body.clone());
    let all = format!("{}&{body}", uri.query().unwrap_or(""));
    let authorization = headers.get("authorization").map_or("", |value| value.to_str().unwrap());
    let known = authorization.starts_with("Basic ") || authorization.ends_with(":T") || authorization.ends_with(":LINK");
    let root = authorization.starts_with("whm root:");
    let api1 = |data: Value| {
        whole(200, json!({"data": data, "metadata": {"result": 1, "reason": "OK", "version": 1, "command": "x"}}).to_string())
    };
    if authorization.starts_with("whm moved") {
        let to = format!("https://{}:2087{uri}", headers["host"].to_str().unwrap());
        return Ok(Response::builder().status(301).header("location", to).body(whole(200, "").into_body()).unwrap());
    }
    Ok(match uri.path() {
        "/unchanged" => Response::builder().status(304).header("content-length", "77").body(whole(200, "").into_body()).unwrap(),
        "/json-api/myprivs" | "/execute/Variables/get_user_information" | "/json-api/uapi_cpanel" if !known => {
            whole(403, "Forbidden")
        }
        "/json-api/myprivs" => api1(json!({"privileges": [{"all": u8::from(root)}]})),
        "/json-api/uapi_cpanel" if !root => {
            let reason = "You do not have access to “anna”.";
            whole(200, json!({"metadata": {"result": 0, "reason": reason, "version": 1, "command": "uapi_cpanel"}}).to_string())
        }
        "/json-api/uapi_cpanel" => api1(json!({"uapi": {"status": 1, "data": {"user": "anna"}}})),
        "/execute/Variables/get_user_information" => {
            let user = authorization.strip_prefix("cpanel ").and_then(|rest| rest.split(':').next()).unwrap_or("");
            whole(200, json!({"status": 1, "data": {"user": user}}).to_string())
        }
        "/json-api/listaccts" if all.contains("api.version=1") => api1(json!({"acct": [{"user": "anna"}, {"user": "bert"}]})),
        "/json-api/listaccts" => whole(200, json!({"status": 1, "acct": [{"user": "anna"}]}).to_string()),
        "/xml-api/listaccts" => whole(200, "<listaccts><acct><user>anna</user></acct><status>1</status></listaccts>"),
        path => whole(200, json!({"upstream": path, "metadata": {"result": 1}}).to_string()),
    })
}

/// Sends everything back in capitals.
async fn shout<S: tokio::io::AsyncRead + tokio::io::AsyncWrite + Unpin>(mut stream: S) {
    let mut buffer = [0; 1024];
    while let Ok(read @ 1..) = stream.read(&mut buffer).await {
        buffer[..read].make_ascii_uppercase();
        if stream.write_all(&buffer[..read]).await.is_err() || stream.flush().await.is_err() {
            return;
        }
    }
}

async fn serve(listener: UnixListener, routing: Routing, served: Arc<Mutex<Vec<Value>>>, agents: Arc<Mutex<Option<Error>>>) {
    // Connections end with the listener.
    let mut connections = tokio::task::JoinSet::new();
    let (_keep, forever) = watch::channel(());
    loop {
        let (stream, _) = listener.accept().await.unwrap();
        let (routing, served, agents, mut forever) = (routing.clone(), Arc::clone(&served), Arc::clone(&agents), forever.clone());
        connections.spawn(async move {
            let mut stream = BufReader::new(stream);
            let call: Value = read_line(&mut stream).await.unwrap().unwrap();
            let answer = match call["call"].as_str().unwrap() {
                "routing" => {
                    if call["have"] == routing.version {
                        let _ = forever.changed().await;
                    }
                    Answer::Ok(serde_json::to_value(&routing).unwrap())
                }
                "agent" => match agents.lock().unwrap().clone() {
                    Some(error) => Answer::Error(error),
                    None => Answer::Ok(Value::Null),
                },
                "uapi" if call["function"].as_str().unwrap().starts_with("create_webmail") => {
                    Answer::Ok(json!({"status": 1, "data": {"hostname": null, "session": "s", "token": "/cpsess1"}}))
                }
                "uapi" if call["user"] == "anna" && call["params"][0][0] == "skip_main" || call["module"] == "Mailboxes" => {
                    Answer::Ok(json!({"status": 1, "data": [{"email": "x@anna.test"}]}))
                }
                "uapi" => Answer::Ok(
                    json!({"status": 1, "data": call, "errors": null, "messages": null, "warnings": null, "metadata": {}}),
                ),
                _ => Answer::Ok(
                    json!({"data": call, "metadata": {"result": 1, "reason": "OK", "version": 1, "command": call["function"]}}),
                ),
            };
            if call["call"] != "routing" {
                served.lock().unwrap().push(call.clone());
            }
            write_line(&mut stream, &answer).await.unwrap();
            if call["call"] == "agent" {
                shout(stream).await;
            }
        });
    }
}

#[derive(Debug)]
struct Anything;

impl rustls::client::danger::ServerCertVerifier for Anything {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: rustls::pki_types::UnixTime,
    ) -> Result<rustls::client::danger::ServerCertVerified, rustls::Error> {
        Ok(rustls::client::danger::ServerCertVerified::assertion())
    }
    fn verify_tls12_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &rustls::DigitallySignedStruct,
    ) -> Result<rustls::client::danger::HandshakeSignatureValid, rustls::Error> {
        Ok(rustls::client::danger::HandshakeSignatureValid::assertion())
    }
    fn verify_tls13_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &rustls::DigitallySignedStruct,
    ) -> Result<rustls::client::danger::HandshakeSignatureValid, rustls::Error> {
        Ok(rustls::client::danger::HandshakeSignatureValid::assertion())
    }
    fn supported_verify_schemes(&self) -> Vec<rustls::SignatureScheme> {
        provider().signature_verification_algorithms.supported_schemes()
    }
}
