//! A TCP proxy on loopback that can cut connections, keep them open silently, refuse new ones, or end one at certain
//! bytes. TLS passes through unchanged.

use std::net::SocketAddr;
use std::sync::Arc;

use parking_lot::Mutex;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinHandle;

/// What happens to traffic.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Traffic {
    /// It is forwarded.
    Fair,
    /// Connections stay open and new ones are accepted, but nothing is forwarded.
    Silent,
    /// Only traffic from the server is forwarded.
    Deaf,
    /// Only traffic from the client is forwarded.
    Mute,
    /// All connections are closed, and none is accepted.
    Cut,
}

/// The point at which one connection ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Trap {
    /// A client sends this, and it is not forwarded.
    Word(&'static str),
    /// A client sends this, it is forwarded, and the answer is not.
    Answer(&'static str),
    /// A client sends at least so many bytes at once, and the last one is not forwarded.
    Said(usize),
    /// A server sends at least so many bytes at once, and the last one is not forwarded.
    Told(usize),
}

#[derive(Debug, Clone, Copy)]
struct State {
    traffic: Traffic,
    /// Incremented to end all connections from before.
    storm: u64,
    /// Whether those connections become silent instead of closed.
    buried: bool,
}

/// The proxy. It ends when dropped.
pub struct Proxy {
    /// The address it listens on.
    pub address: SocketAddr,
    state: Arc<watch::Sender<State>>,
    trap: Arc<Mutex<Option<Trap>>>,
    task: JoinHandle<()>,
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.task.abort();
        self.set(Traffic::Cut);
    }
}

impl Proxy {
    /// In front of `target`.
    ///
    /// # Errors
    /// When it cannot listen.
    pub async fn start(target: SocketAddr) -> std::io::Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let address = listener.local_addr()?;
        let state = Arc::new(watch::Sender::new(State {
            traffic: Traffic::Fair,
            storm: 0,
            buried: false,
        }));
        let shared = Arc::clone(&state);
        let trap = Arc::<Mutex<Option<Trap>>>::default();
        let set = Arc::clone(&trap);
        let task = tokio::spawn(async move {
            loop {
                let Ok((near, _)) = listener.accept().await else {
                    continue;
                };
                let now = *shared.borrow();
                if now.traffic == Traffic::Cut {
                    continue;
                }
                let (state, trap) = (shared.subscribe(), Arc::clone(&set));
                tokio::spawn(async move {
                    if let Ok(far) = TcpStream::connect(target).await {
                        join(near, far, state, now.storm, &trap).await;
                    }
                });
            }
        });
        Ok(Self {
            address,
            state,
            trap,
            task,
        })
    }

    /// Sets a trap: the first connection that springs it ends there.
    pub fn set_trap(&self, trap: Trap) {
        *self.trap.lock() = Some(trap);
    }

    /// Whether the trap has been sprung.
    #[must_use]
    pub fn is_sprung(&self) -> bool {
        self.trap.lock().is_none()
    }

    /// Changes what happens to the traffic of all connections.
    pub fn set(&self, traffic: Traffic) {
        self.state.send_modify(|state| {
            state.traffic = traffic;
            if traffic == Traffic::Cut {
                state.storm += 1;
                state.buried = false;
            }
        });
    }

    /// Closes open connections; new ones work.
    pub fn cut_once(&self) {
        self.state.send_modify(|state| {
            state.storm += 1;
            state.buried = false;
        });
    }

    /// Silences open connections for good, like a firewall that has lost their state; new connections work.
    pub fn bury(&self) {
        self.state.send_modify(|state| {
            state.storm += 1;
            state.buried = true;
        });
    }
}

/// Takes the trap if these bytes from a client spring it.
fn sprung_by(trap: &Mutex<Option<Trap>>, said: &[u8]) -> Option<Trap> {
    trap.lock().take_if(|trap| match trap {
        Trap::Word(word) | Trap::Answer(word) => {
            let word = word.as_bytes();
            said.windows(word.len()).any(|window| window == word)
        }
        Trap::Said(least) => said.len() >= *least,
        Trap::Told(_) => false,
    })
}

/// Takes the trap if so many bytes for a client spring it.
fn is_sprung_by(trap: &Mutex<Option<Trap>>, told: usize) -> bool {
    let is_enough = |trap: &mut Trap| matches!(trap, Trap::Told(least) if told >= *least);
    trap.lock().take_if(is_enough).is_some()
}

async fn join(
    near: TcpStream,
    far: TcpStream,
    mut state: watch::Receiver<State>,
    born: u64,
    trap: &Mutex<Option<Trap>>,
) {
    let (mut near_read, mut near_write) = near.into_split();
    let (mut far_read, mut far_write) = far.into_split();
    let (mut up, mut down) = (vec![0; 16 << 10], vec![0; 16 << 10]);
    loop {
        let now = *state.borrow_and_update();
        let is_old = now.storm != born;
        if is_old && !now.buried {
            return;
        }
        if is_old || now.traffic == Traffic::Silent {
            if state.changed().await.is_err() {
                return;
            }
            continue;
        }
        let moved = tokio::select! {
            changed = state.changed() => match changed {
                Ok(()) => continue,
                Err(_) => return,
            },
            read = near_read.read(&mut up), if now.traffic != Traffic::Deaf => match read {
                Ok(count @ 1..) => {
                    let said = up.get(..count).unwrap_or_default();
                    let sprung = sprung_by(trap, said);
                    let arrives = match sprung {
                        Some(Trap::Word(_)) => 0,
                        Some(Trap::Said(_)) => count - 1,
                        _ => count,
                    };
                    let moved = far_write.write_all(said.get(..arrives).unwrap_or_default()).await;
                    if matches!(sprung, Some(Trap::Answer(_))) {
                        // An answer proves that the server has received the words.
                        let _ = far_read.peek(&mut down).await;
                    }
                    if sprung.is_some() {
                        return;
                    }
                    moved
                }
                _ => return,
            },
            read = far_read.read(&mut down), if now.traffic != Traffic::Mute => match read {
                Ok(count @ 1..) => {
                    let is_torn = is_sprung_by(trap, count);
                    let arrives = count - usize::from(is_torn);
                    let moved = near_write.write_all(down.get(..arrives).unwrap_or_default()).await;
                    if is_torn {
                        return;
                    }
                    moved
                }
                _ => return,
            },
        };
        if moved.is_err() {
            return;
        }
    }
}
