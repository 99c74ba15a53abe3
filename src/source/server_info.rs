//! What a node says of its machine: the call `server_info` of the gRPC service `Diagnostics`, beside `search_log`.
//!
//! The messages are defined in `diagnosticspb.proto` of pingcap/kvproto. Hardware and the kernel's settings are asked for,
//! not the load, for which a node measures a second long. What of it is kept is decided in `record`.

use std::time::Duration;

use super::error::SourceError;
use super::grpc::call;
use super::http::Http;
use super::protobuf::{BrokenMessage, Fields, Value, put_varint_field};

/// The path of the call.
const SERVER_INFO: &str = "/diagnosticspb.Diagnostics/server_info";
/// The numbers of `HardwareInfo` and `SystemInfo` among the types of `ServerInfoRequest`.
const TYPES: [u64; 2] = [1, 2];
/// The most bytes of an answer: all of `/proc/sys` takes some 100 KB.
const MAX_ANSWER_BYTES: u64 = 4 << 20;

/// A part of a machine, such as its memory or a disk.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ServerInfoItem {
    /// `cpu`, `memory`, `disk`, `net` or `system`.
    pub kind: String,
    /// Which one, such as `sda1` or `sysctl`.
    pub name: String,
    /// What is said of it, by key.
    pub pairs: Vec<(String, String)>,
}

/// Asks the node at `url`, such as `http://10.0.1.5:20160`, for its hardware and the settings of its kernel, each
/// within `timeout`.
pub(super) async fn server_info(
    http: &Http,
    url: &str,
    timeout: Duration,
) -> Result<Vec<ServerInfoItem>, SourceError> {
    let url = format!("{}{SERVER_INFO}", url.trim_end_matches('/'));
    let mut items = Vec::new();
    for kind in TYPES {
        let mut request = Vec::new();
        put_varint_field(&mut request, 1, kind);
        let mut answer = call(http, &url, &request, (timeout, MAX_ANSWER_BYTES)).await?;
        while let Some(message) = answer.next_message().await? {
            let found = items_of(&message).map_err(|error| answer.malformed(error.to_string()))?;
            items.extend(found);
        }
    }
    Ok(items)
}

/// The items of a `ServerInfoResponse`.
fn items_of(response: &[u8]) -> Result<Vec<ServerInfoItem>, BrokenMessage> {
    let mut items = Vec::new();
    let mut fields = Fields::of(response);
    while let Some(field) = fields.next_field()? {
        if let (1, Value::Bytes(message)) = (field.number, field.value) {
            items.push(item(message)?);
        }
    }
    Ok(items)
}

fn item(message: &[u8]) -> Result<ServerInfoItem, BrokenMessage> {
    let mut item = ServerInfoItem::default();
    let mut fields = Fields::of(message);
    while let Some(field) = fields.next_field()? {
        match (field.number, field.value) {
            (1, Value::Bytes(kind)) => item.kind = text(kind),
            (2, Value::Bytes(name)) => item.name = text(name),
            (3, Value::Bytes(one)) => item.pairs.push(pair(one)?),
            _ => {}
        }
    }
    Ok(item)
}

fn pair(message: &[u8]) -> Result<(String, String), BrokenMessage> {
    let (mut key, mut value) = (String::new(), String::new());
    let mut fields = Fields::of(message);
    while let Some(field) = fields.next_field()? {
        match (field.number, field.value) {
            (1, Value::Bytes(bytes)) => key = text(bytes),
            (2, Value::Bytes(bytes)) => value = text(bytes),
            _ => {}
        }
    }
    Ok((key, value))
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::source::protobuf::put_bytes_field;

    #[test]
    fn items_have_their_pairs_in_order() {
        let pair = |key: &str, value: &str| {
            let mut message = Vec::new();
            put_bytes_field(&mut message, 1, key.as_bytes());
            put_bytes_field(&mut message, 2, value.as_bytes());
            message
        };
        let mut one = Vec::new();
        put_bytes_field(&mut one, 1, b"system");
        put_bytes_field(&mut one, 2, b"sysctl");
        put_bytes_field(&mut one, 3, &pair("vm.swappiness", "60"));
        put_bytes_field(&mut one, 3, &pair("net.core.somaxconn", "128"));
        let mut response = Vec::new();
        put_bytes_field(&mut response, 1, &one);
        let items = items_of(&response).expect("the message is whole");
        let pairs = [("vm.swappiness", "60"), ("net.core.somaxconn", "128")];
        let expected = ServerInfoItem {
            kind: "system".to_owned(),
            name: "sysctl".to_owned(),
            pairs: pairs.map(|(key, value)| (key.to_owned(), value.to_owned())).to_vec(),
        };
        assert_eq!(items, [expected]);
    }

    proptest! {
        #[test]
        fn garbage_never_panics(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            let _ = items_of(&bytes);
        }
    }
}
