//! The gateway's port is part of its configuration (the issuer's URL), so it must be known before Envoy listens on it.

use std::net::{SocketAddr, TcpListener};

use tokio::net::TcpSocket;

use crate::Error;

/// A port that no other program gets while this value lives, although Envoy can listen on it. Both set SO_REUSEPORT, and connections go
/// only to sockets that listen.
pub(super) struct Reservation {
    port: u16,
    _socket: TcpSocket,
}

impl Reservation {
    /// Reserves this port of 127.0.0.1, or a free one.
    pub(super) fn new(port: Option<u16>) -> Result<Self, Error> {
        let address = SocketAddr::from(([127, 0, 0, 1], port.unwrap_or(0)));
        let unavailable = |source| dcr_parties::Error::Listen { address, source };
        // SO_REUSEPORT would share the port with another Envoy of this user. So a fixed port must be free first.
        if port.is_some() {
            TcpListener::bind(address).map_err(unavailable)?;
        }
        let reserve = || {
            let socket = TcpSocket::new_v4()?;
            socket.set_reuseport(true)?;
            socket.bind(address)?;
            Ok((socket.local_addr()?.port(), socket))
        };
        let (port, socket) = reserve().map_err(unavailable)?;
        Ok(Self { port, _socket: socket })
    }

    pub(super) fn number(&self) -> u16 {
        self.port
    }
}
