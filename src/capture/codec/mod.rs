//! Encodes samples, labels and PD answers as blobs, and decodes them.
//!
//! It does not use SQLite. Every decoder accepts damaged bytes: it returns [`DecodeError`], never
//! panics, and allocates no more than a stated bound.

mod block;
mod bytes;
mod group;
mod journal;
mod labels;
mod number;
mod pd;
mod range_coder;
mod values;

pub use block::{ABSENT, BlockHeader, Columns, STALE, VALUE, decode_group, encode_block};
#[cfg(test)]
pub use bytes::pack;
pub use bytes::{Cursor, put_bytes, put_varint};
pub use bytes::{DecodeError, open_envelope, seal_envelope};
pub use journal::{JournalRow, decode_journal, encode_journal};
pub use labels::{decode_label_sets, encode_label_sets};
pub use pd::{MAX_DOCUMENT, Packing, PdBatch, PdLimits, PdReader, PdRows, encode_pd};
