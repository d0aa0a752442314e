//! Ports for servers that take theirs as an argument.

use std::net::TcpListener;

/// A port of loopback that nobody listens on. It lies below those that Linux gives to whoever asks for any
/// (`net.ipv4.ip_local_port_range`): between here and the server's start somebody's connection may not get it.
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

/// Likewise, with the address before it.
///
/// # Errors
/// As [`free_port`].
pub fn free_address() -> anyhow::Result<String> {
    Ok(format!("127.0.0.1:{}", free_port()?))
}
