//! What cpsrvd sends back: a status, a type, a body that is there or still comes.

use std::io;

use bytes::Bytes;
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt, Full};
use hyper::header::{CACHE_CONTROL, CONTENT_TYPE, HeaderValue, LOCATION};
use hyper::{Response, StatusCode};

/// A body. One that ends with an error is cut off on the wire, so that nobody takes it for whole.
pub type Body = UnsyncBoxBody<Bytes, io::Error>;

/// The HTTP reply.
pub type Answer = Response<Body>;

/// A body that is there.
pub fn full(bytes: impl Into<Bytes>) -> Body {
    Full::new(bytes.into()).map_err(|never| match never {}).boxed_unsync()
}

/// A reply with a body of this type.
pub fn reply(status: StatusCode, content_type: &'static str, body: impl Into<Bytes>) -> Answer {
    let mut response = Response::new(full(body));
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-cache, no-store, must-revalidate, private"));
    response
}

/// A page.
pub fn html(status: StatusCode, text: impl Into<Bytes>) -> Answer {
    reply(status, "text/html; charset=\"utf-8\"", text)
}

/// Sends the browser elsewhere, with GET.
pub fn see_other(location: &str) -> Answer {
    let mut moved = html(StatusCode::SEE_OTHER, "");
    if let Ok(location) = HeaderValue::from_str(location) {
        moved.headers_mut().insert(LOCATION, location);
    }
    moved
}
