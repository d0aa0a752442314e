//! Ports for servers that take theirs as an argument.

use std::net::TcpListener;

/// A free port of loopback, below the range for ephemeral ports (`net.ipv4.ip_local_port_range`): between this call
/// and the server's start no outgoing connection can take it.
///
/// # Errors
/// When none of a hundred is free.
pub fn free_port() -> anyhow::Result<u16> {
    for _ in 0..100 {
        let port = rand::random_range(10_000..32_768);
        if TcpListener::bind(("127.0.0.1", port)).is_ok() {
            return Ok(port);
        }
    }
    anyhow::bail!("no free port was found between 10000 and 32768")
}

/// The same with the address before it.
///
/// # Errors
/// Like [`free_port`].
pub fn free_address() -> anyhow::Result<String> {
    Ok(format!("127.0.0.1:{}", free_port()?))
}
