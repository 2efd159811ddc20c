//! Prometheus' remote write, version 1: a message of protobuf, compressed by snappy.

use anyhow::Result;
use snap::raw::Encoder;

use super::notation::Step;
use crate::client::prometheus::Labels;

/// The value by which Prometheus ends a series, in bits.
const STALE: u64 = 0x7ff0_0000_0000_0002;

/// How protobuf stores a field.
#[derive(Clone, Copy)]
enum Wire {
    Varint = 0,
    Fixed = 1,
    Bytes = 2,
}

/// A series with samples, each with its time in milliseconds since 1970.
pub struct Written<'a> {
    pub labels: &'a Labels,
    pub samples: Vec<(u64, Step)>,
}

/// The body of a request that writes these series.
pub fn body(series: &[Written<'_>]) -> Result<Vec<u8>> {
    let mut request = Vec::new();
    for Written { labels, samples } in series {
        let mut message = Vec::new();
        for (name, value) in *labels {
            let mut label = Vec::new();
            bytes(&mut label, 1, name.as_bytes());
            bytes(&mut label, 2, value.as_bytes());
            bytes(&mut message, 1, &label);
        }
        for (time, step) in samples {
            let value = match step {
                Step::Value(value) => value.to_bits(),
                Step::Stale => STALE,
                Step::Missing => continue,
            };
            let mut sample = Vec::new();
            key(&mut sample, 1, Wire::Fixed);
            sample.extend(value.to_le_bytes());
            key(&mut sample, 2, Wire::Varint);
            varint(&mut sample, *time);
            bytes(&mut message, 2, &sample);
        }
        bytes(&mut request, 1, &message);
    }
    Ok(Encoder::new().compress_vec(&request)?)
}

fn bytes(to: &mut Vec<u8>, field: u8, content: &[u8]) {
    key(to, field, Wire::Bytes);
    varint(to, content.len() as u64);
    to.extend(content);
}

fn key(to: &mut Vec<u8>, field: u8, wire: Wire) {
    to.push(field << 3 | wire as u8);
}

fn varint(to: &mut Vec<u8>, mut number: u64) {
    while number >= 0x80 {
        to.push(number.to_le_bytes()[0] | 0x80);
        number >>= 7;
    }
    to.push(number.to_le_bytes()[0]);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_is_protobuf_by_snappy() {
        let labels = [("__name__".to_owned(), "up".to_owned())].into();
        let samples = vec![(300, Step::Value(1.0)), (301, Step::Missing), (302, Step::Stale)];
        let body = body(&[Written { labels: &labels, samples }]).unwrap();
        let message = snap::raw::Decoder::new().decompress_vec(&body).unwrap();
        let expected = b"\x0a\x2c\x0a\x0e\x0a\x08__name__\x12\x02up\
            \x12\x0c\x09\0\0\0\0\0\0\xf0\x3f\x10\xac\x02\x12\x0c\x09\x02\0\0\0\0\0\xf0\x7f\x10\xae\x02";
        assert_eq!(message, expected);
    }
}
