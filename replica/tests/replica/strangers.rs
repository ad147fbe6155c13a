//! Peers that should not be there, or say what they should not.

use bytes::Bytes;
use quinn::{Connection, ConnectionError};
use viewstorm_protocol::vr::{Request, VrMessage};
use viewstorm_protocol::{Address, ClientId, EpochNumber, Incarnation, NodeId, ReplicaId};
use viewstorm_replica::{Authority, Credentials};

use crate::support::clients::{Clients, session, write};
use crate::support::cluster::Cluster;
use crate::support::stranger::{Papers, close_code, dial, endpoint, frame, hello};

const MALFORMED: u64 = 1;
const NOT_ALLOWED: u64 = 2;
const STALE: u64 = 3;
const SUPERSEDED: u64 = 4;
const NO_HELLO: u64 = 5;

/// A client endpoint that the harness does not use.
const C9: NodeId = NodeId::Client(9);

fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap()
}

/// Dials a replica and says hello.
async fn introduced(
    cluster: &Cluster,
    endpoint: &quinn::Endpoint,
    acceptor: u16,
    hello: &[u8],
) -> (Connection, quinn::SendStream) {
    let node = NodeId::replica(acceptor);
    let connection = dial(endpoint, cluster.address(node), node).await.unwrap();
    let mut stream = connection.open_uni().await.unwrap();
    stream.write_all(hello).await.unwrap();
    (connection, stream)
}

/// The peer is turned away by TLS and has not seen a byte of ours.
fn gets_nothing(papers: &Papers<'_>) {
    let cluster = Cluster::running(1);
    let authority = cluster.authority.certificate().to_owned();
    let believes = |credentials: &Credentials| Credentials {
        authority: authority.clone(),
        ..credentials.clone()
    };
    let credentials = match papers {
        Papers::Shown(credentials) | Papers::None(credentials) => believes(credentials),
    };
    let papers = match papers {
        Papers::Shown(_) => Papers::Shown(&credentials),
        Papers::None(_) => Papers::None(&credentials),
    };
    runtime().block_on(async {
        let endpoint = endpoint(&papers);
        let r0 = NodeId::replica(0);
        let error = match dial(&endpoint, cluster.address(r0), r0).await {
            Err(error) => error,
            // TLS 1.3: the client is through before the server has seen its certificate.
            Ok(connection) => connection.accept_uni().await.err().unwrap(),
        };
        assert!(
            matches!(error, ConnectionError::ConnectionClosed(_)),
            "{error:?}"
        );
    });
}

#[test]
fn a_peer_with_a_certificate_of_another_run_gets_nothing() {
    let foreign = Authority::new().unwrap().issue(NodeId::Client(0)).unwrap();
    gets_nothing(&Papers::Shown(&foreign));
}

#[test]
fn a_peer_without_a_certificate_gets_nothing() {
    let foreign = Authority::new().unwrap().issue(NodeId::Client(0)).unwrap();
    gets_nothing(&Papers::None(&foreign));
}

#[test]
fn a_replica_dials_only_those_with_greater_ids() {
    let cluster = Cluster::running(1);
    let r2 = cluster.authority.issue(NodeId::replica(2)).unwrap();
    runtime().block_on(async {
        let endpoint = endpoint(&Papers::Shown(&r2));
        let r0 = NodeId::replica(0);
        let connection = dial(&endpoint, cluster.address(r0), r0).await.unwrap();
        assert_eq!(close_code(&connection).await, NOT_ALLOWED);
    });
}

#[test]
fn who_says_nothing_is_sent_away() {
    let cluster = Cluster::running(1);
    let c9 = cluster.authority.issue(C9).unwrap();
    runtime().block_on(async {
        let endpoint = endpoint(&Papers::Shown(&c9));
        let r0 = NodeId::replica(0);
        let connection = dial(&endpoint, cluster.address(r0), r0).await.unwrap();
        assert_eq!(close_code(&connection).await, NO_HELLO);
    });
}

/// A request from `from` to `to`, as it travels.
fn request(from: Address, to: Address) -> Vec<u8> {
    stamped_request(from, to, 1)
}

fn stamped_request(from: Address, to: Address, lamport: u64) -> Vec<u8> {
    let client = ClientId {
        endpoint: 9,
        session: 1,
    };
    let operation = Bytes::from_static(b"?");
    let message = VrMessage::from(Request {
        epoch: EpochNumber(0),
        client,
        request_number: 1,
        operation: operation.into(),
    });
    let envelope = (lamport, Incarnation(0), message);
    frame(&postcard::to_allocvec(&(from, to, envelope)).unwrap())
}

#[test]
fn nonsense_closes_the_connection_that_it_came_on_and_nothing_else() {
    let cluster = Cluster::running(3);
    let clients = Clients::start(&cluster, 1);
    clients.perform(session(1), write("k", 1));
    let c9 = cluster.authority.issue(C9).unwrap();
    let client = |endpoint| {
        Address::Client(ClientId {
            endpoint,
            session: 1,
        })
    };
    let replica = |id| Address::Replica(ReplicaId(id));
    let after_hello = [
        frame(b"this is no message"),
        u32::MAX.to_le_bytes().to_vec(),
        [&request(client(9), replica(0))[..], &frame(&[0; 70_000])].concat(),
        request(client(8), replica(0)),
        request(replica(1), replica(0)),
        request(client(9), replica(1)),
        stamped_request(client(9), replica(0), u64::MAX),
    ];
    let mut openings: Vec<_> = after_hello
        .iter()
        .map(|bytes| [&hello(C9, 0)[..], bytes].concat())
        .collect();
    openings.extend([
        hello(NodeId::Client(8), 0),
        frame(b"hello"),
        frame(&[0; 65]),
    ]);
    runtime().block_on(async {
        let endpoint = endpoint(&Papers::Shown(&c9));
        for opening in openings {
            let (connection, _stream) = introduced(&cluster, &endpoint, 0, &opening).await;
            let code = close_code(&connection).await;
            assert_eq!(code, MALFORMED, "{:?}", &opening[..opening.len().min(100)]);
        }
    });
    clients.perform(session(1), write("k", 2));
}

#[test]
fn nonsense_on_a_stream_for_large_messages_closes_the_connection_too() {
    let cluster = Cluster::running(1);
    let c9 = cluster.authority.issue(C9).unwrap();
    runtime().block_on(async {
        let endpoint = endpoint(&Papers::Shown(&c9));
        for opening in [
            frame(b"nonsense"),
            (17_u32 << 20).to_le_bytes().to_vec(),
            vec![1, 2],
        ] {
            let (connection, _hello) = introduced(&cluster, &endpoint, 0, &hello(C9, 0)).await;
            let mut stream = connection.open_uni().await.unwrap();
            stream.write_all(&opening).await.unwrap();
            stream.finish().unwrap();
            assert_eq!(close_code(&connection).await, MALFORMED, "{opening:?}");
        }
    });
}

#[test]
fn an_older_incarnation_is_refused_and_a_newer_one_takes_the_place() {
    let mut cluster = Cluster::of(2);
    cluster.start(1);
    let r0 = cluster.authority.issue(NodeId::replica(0)).unwrap();
    runtime().block_on(async {
        let endpoint = endpoint(&Papers::Shown(&r0));
        let r0 = NodeId::replica(0);
        let (fifth, _stream) = introduced(&cluster, &endpoint, 1, &hello(r0, 5)).await;
        // Its hello comes when ours was read.
        fifth.accept_uni().await.unwrap();
        let (fourth, _stream) = introduced(&cluster, &endpoint, 1, &hello(r0, 4)).await;
        assert_eq!(close_code(&fourth).await, STALE);
        assert!(fifth.close_reason().is_none());
        let (_sixth, _stream) = introduced(&cluster, &endpoint, 1, &hello(r0, 6)).await;
        assert_eq!(close_code(&fifth).await, SUPERSEDED);
    });
}

#[test]
fn without_fencing_an_older_incarnation_is_let_in() {
    let mut cluster = Cluster::of(2);
    cluster.fence = false;
    cluster.start(1);
    let r0 = cluster.authority.issue(NodeId::replica(0)).unwrap();
    runtime().block_on(async {
        let endpoint = endpoint(&Papers::Shown(&r0));
        let r0 = NodeId::replica(0);
        let (fifth, _stream) = introduced(&cluster, &endpoint, 1, &hello(r0, 5)).await;
        let (fourth, mut stream) = introduced(&cluster, &endpoint, 1, &hello(r0, 4)).await;
        // It is listened to: what it says now is found to be nonsense.
        stream.write_all(&frame(b"nonsense")).await.unwrap();
        assert_eq!(close_code(&fourth).await, MALFORMED);
        assert!(fifth.close_reason().is_none());
    });
}
