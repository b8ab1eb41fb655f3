//! What the kernel knows about connections.

use crate::Result;

/// State of an established connection in `/proc/net/tcp` (proc(5); `TCP_ESTABLISHED`).
const ESTABLISHED: &str = "01";

/// Connections that are established towards a loopback port, seen from who opened them.
pub(crate) fn connections_to(port: u16) -> Result<usize> {
    let path = "/proc/net/tcp";
    let table = std::fs::read_to_string(path).map_err(|e| format!("{path}: {e}"))?;
    let towards = format!(":{port:04X}");
    let is_one = |line: &&str| {
        let mut fields = line.split_ascii_whitespace().skip(2);
        let remote = fields.next().unwrap_or_default();
        remote.ends_with(&towards) && fields.next() == Some(ESTABLISHED)
    };
    Ok(table.lines().filter(is_one).count())
}

#[cfg(test)]
mod tests {
    use std::net::{TcpListener, TcpStream};

    use super::*;

    #[test]
    fn connections_are_counted_once() {
        let listener = TcpListener::bind(("127.0.0.1", 0)).expect("a free port");
        let port = listener.local_addr().expect("is bound").port();
        assert_eq!(connections_to(port), Ok(0));
        let open: Vec<_> = (0..3)
            .map(|_| TcpStream::connect(("127.0.0.1", port)).expect("connects"))
            .collect();
        assert_eq!(connections_to(port), Ok(3));
        drop(open);
    }
}
