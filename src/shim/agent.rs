//! The channel between nodes: a root-level caller's connection, handed to `serve`.

use super::envelope::Reply;
use super::front::{Asker, Front, written};
use super::upstream::{Body, empty, wanted_upgrade};
use crate::agent::PROTOCOL;
use crate::error::{Code, Error};
use crate::wire::{ShimCall, token_digest};
use hyper::body::Incoming;
use hyper::header::{self, HeaderValue};
use hyper::{Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use serde_json::{Value, json};

impl Front {
    /// Proves the caller root-level by cpsrvd, asks `serve`, and from then on carries bytes.
    pub(super) async fn agent(&self, asker: &Asker, mut request: Request<Incoming>) -> Response<Body> {
        if wanted_upgrade(request.headers()).is_none_or(|protocol| protocol != PROTOCOL) {
            let mut response = refused(426, &Error::new(Code::Invalid, format!("This address speaks {PROTOCOL} only.")));
            response.headers_mut().insert(header::UPGRADE, HeaderValue::from_static(PROTOCOL));
            return response;
        }
        let (Some(username), Some(token)) = (asker.credential.claimed(), asker.credential.token()) else {
            return refused(403, &Error::new(Code::Denied, "A node channel is opened with a WHM API token."));
        };
        match self.prover.whm(&self.upstream, &asker.entrance, asker.peer, &asker.credential).await {
            Ok(proved) if proved.root => {}
            Ok(_) => return refused(403, &Error::new(Code::Denied, "The token has no root-level privileges.")),
            Err(super::caller::Unproved::Unreachable(why)) => {
                return refused(503, &Error::new(Code::NotSent, "cpsrvd on this server does not answer.").detail(why));
            }
            Err(_) => return refused(403, &Error::new(Code::Denied, "The token is not accepted.")),
        }
        let call = ShimCall::Agent { username: username.to_owned(), token_digest: token_digest(token), peer: asker.peer };
        let serve = async {
            let mut client = self.serve_connection().await?;
            client.call::<Value>(&call).await?;
            Ok::<_, Error>(client.into_stream())
        };
        let mut inner = match serve.await {
            Ok(inner) => inner,
            Err(error) => {
                tracing::info!(peer = %asker.peer, error = ?error, "node channel refused");
                return refused(if error.code == Code::NotSent { 503 } else { 403 }, &error);
            }
        };
        let outer = hyper::upgrade::on(&mut request);
        let peer = asker.peer;
        tokio::spawn(async move {
            match outer.await {
                Ok(outer) => {
                    let mut outer = TokioIo::new(outer);
                    if let Err(error) = tokio::io::copy_bidirectional(&mut outer, &mut inner).await {
                        tracing::debug!(%peer, %error, "node channel broke");
                    }
                }
                Err(error) => tracing::debug!(%peer, %error, "node channel did not open"),
            }
        });
        let mut response = Response::new(empty());
        *response.status_mut() = StatusCode::SWITCHING_PROTOCOLS;
        response.headers_mut().insert(header::CONNECTION, HeaderValue::from_static("upgrade"));
        response.headers_mut().insert(header::UPGRADE, HeaderValue::from_static(PROTOCOL));
        response
    }
}

/// A refusal that the other node reads: the error itself.
fn refused(status: u16, error: &Error) -> Response<Body> {
    written(Reply::json(status, &json!({ "error": error })))
}
