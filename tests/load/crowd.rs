//! Secrets that no token refers to.

use std::time::Instant;

use futures::{StreamExt, stream};
use k8s_openapi::api::core::v1::Secret;
use kube::Client;
use kube::api::{Api, PostParams};
use serde_json::json;

use crate::field::{AT_ONCE, namespace};

/// Namespaces that they lie in.
const NAMESPACES: u32 = 10;
/// Bytes of each.
const BYTES: usize = 4096;

/// Makes so many.
pub async fn create(client: &Client, secrets: u32) {
    let began = Instant::now();
    let text: String = ('a'..='z').cycle().take(BYTES).collect();
    let create = |number: u32| {
        let (client, text) = (client.clone(), text.as_str());
        async move {
            let secret = json!({"apiVersion": "v1", "kind": "Secret",
                "metadata": {"name": format!("crowd-{number}"), "labels": {"app": "else"}},
                "stringData": {"config": text}});
            let secret: Secret = serde_json::from_value(secret).unwrap();
            let api = Api::namespaced(client, &namespace(number % NAMESPACES));
            api.create(&PostParams::default(), &secret).await.unwrap();
        }
    };
    stream::iter((0..secrets).map(create)).buffer_unordered(AT_ONCE).collect::<()>().await;
    println!("{secrets} Secrets were created in {:.1} s", began.elapsed().as_secs_f64());
}
