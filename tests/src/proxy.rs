//! A TCP proxy on loopback, between anything and anything, that can cut connections, keep them open in
//! silence, take no new ones, or end one at a certain word. TLS goes through untouched.

use std::net::SocketAddr;
use std::sync::Arc;

use parking_lot::Mutex;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinHandle;

/// What becomes of bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Weather {
    /// They arrive.
    Fair,
    /// Open connections stay open and nothing arrives; new ones are taken, and are as silent.
    Silent,
    /// What clients say does not arrive; what they are told does.
    Deaf,
    /// What clients are told does not arrive; what they say does.
    Mute,
    /// No connection stays, and none is taken.
    Cut,
}

/// At which word a connection ends, once.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Trap {
    /// A client says this, and it does not arrive.
    Word(&'static str),
    /// A client says this, it arrives, and what is answered does not.
    Answer(&'static str),
    /// A client says at least so many bytes at once, of which the last one does not arrive.
    Said(usize),
    /// A client is told at least so many bytes at once, of which the last one does not arrive.
    Told(usize),
}

#[derive(Debug, Clone, Copy)]
struct State {
    weather: Weather,
    /// Connections from before the last storm have no future.
    storm: u64,
    /// Whether those from before it are silent instead of closed.
    buried: bool,
}

/// The proxy. It ends with this value.
pub struct Proxy {
    /// Where it listens.
    pub address: SocketAddr,
    state: Arc<watch::Sender<State>>,
    trap: Arc<Mutex<Option<Trap>>>,
    task: JoinHandle<()>,
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.task.abort();
        self.set(Weather::Cut);
    }
}

impl Proxy {
    /// Before `target`.
    ///
    /// # Errors
    /// When it cannot listen.
    pub async fn start(target: SocketAddr) -> std::io::Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let address = listener.local_addr()?;
        let state = Arc::new(watch::Sender::new(State {
            weather: Weather::Fair,
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
                if now.weather == Weather::Cut {
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

    /// Sets a trap: whichever connection comes upon it first ends there.
    pub fn set_trap(&self, trap: Trap) {
        *self.trap.lock() = Some(trap);
    }

    /// Whether a connection ended at the trap.
    #[must_use]
    pub fn is_sprung(&self) -> bool {
        self.trap.lock().is_none()
    }

    /// Changes the weather for all connections.
    pub fn set(&self, weather: Weather) {
        self.state.send_modify(|state| {
            state.weather = weather;
            if weather == Weather::Cut {
                state.storm += 1;
                state.buried = false;
            }
        });
    }

    /// Cuts what is open; new connections are fine.
    pub fn cut_once(&self) {
        self.state.send_modify(|state| {
            state.storm += 1;
            state.buried = false;
        });
    }

    /// What is open stays open and is silent for good, as behind a firewall that forgot it; new
    /// connections are fine.
    pub fn bury(&self) {
        self.state.send_modify(|state| {
            state.storm += 1;
            state.buried = true;
        });
    }
}

/// Takes the trap if these words of a client spring it.
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
        if is_old || now.weather == Weather::Silent {
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
            read = near_read.read(&mut up), if now.weather != Weather::Deaf => match read {
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
                        // Once it is answered it was heard.
                        let _ = far_read.peek(&mut down).await;
                    }
                    if sprung.is_some() {
                        return;
                    }
                    moved
                }
                _ => return,
            },
            read = far_read.read(&mut down), if now.weather != Weather::Mute => match read {
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
