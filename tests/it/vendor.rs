//! The vendor's own SDK against the simulator and against our signer: what both take for a good signature is what the vendor's
//! SDK makes, and what the simulator answers is what the SDK reads.

use drs_exporter::auth::{Key, ToSign, authorization};
use fastrand::Rng;
use serde_json::{Value, json};

use crate::support::simulator::Simulator;
use crate::support::tools::vendor_python;

/// What all scripts begin with. They read the endpoint from standard input.
const BEGIN: &str = r#"
import http.client, itertools, os, sys
import requests
from huaweicloudsdkcore.auth import internal
from huaweicloudsdkcore.auth.credentials import BasicCredentials
from huaweicloudsdkcore.exceptions.exceptions import ClientRequestException
from huaweicloudsdkcore.region.region import Region
from huaweicloudsdkcore.sdk_request import SdkRequest
from huaweicloudsdkdrs.v5 import *

ENDPOINT = sys.stdin.read()
HOST = ENDPOINT.removeprefix("http://")
AK, SK, PROJECT = "SIMULATEDACCESSKEY", "simulated-secret-key", "simulated-project"
os.environ["NO_PROXY"] = "*"

def client(credentials):
    return DrsClient.new_builder().with_credentials(credentials).with_endpoint(ENDPOINT).build()

def total(client):
    return client.list_jobs(ListJobsRequest(job_type="migration")).total_count

def refused(ask):
    try:
        ask()
    except ClientRequestException as error:
        return error.status_code, error.error_code, error.error_msg
    return None
"#;

fn script(body: &str) -> String {
    [BEGIN, body].concat()
}

#[tokio::test]
async fn its_answers_are_those_of_plain_requests() {
    let simulator = Simulator::start(&["--jobs", "23", "--objects", "25"]).await;
    let compare = r#"
def plain(path):
    answer = requests.get(f"{ENDPOINT}/v5/{PROJECT}/jobs{path}", headers={"X-Auth-Token": "simulated-token"})
    assert answer.status_code == 200, answer.text
    return answer.json()

# What moves between two questions is asked again.
def compare(path, ask):
    for _ in range(100):
        before, told, after = plain(path), ask(), plain(path)
        if before == after:
            assert told.to_json_object() == before, (told, before)
            return told
    raise AssertionError(f"{path} never stands still")

drs = client(BasicCredentials(AK, SK, PROJECT))
jobs = []
for offset in range(0, 30, 10):
    page = ListJobsRequest(job_type="", offset=offset, limit=10)
    jobs += compare(f"?job_type=&offset={offset}&limit=10", lambda: drs.list_jobs(page)).jobs
assert len({job.id for job in jobs}) == 23
children = [child for job in jobs for child in job.children]
assert len(children) == 6
assert drs.list_jobs(ListJobsRequest(job_type="sync", name="pröd orders/*~+&=%")).total_count == 0

for job in jobs[:2] + jobs[3:6] + children:
    detail = ShowJobDetailRequest(job_id=job.id, type="progress")
    told = compare(f"/{job.id}?type=progress", lambda: drs.show_job_detail(detail)).job
    assert told.base_info.name == job.name and told.progress_info.transfer_status == told.status
    for object_type, offset in itertools.product(["table", "view"], [0, 20]):
        page = ShowProgressDataRequest(job_id=job.id, type=object_type, offset=offset, limit=20)
        path = f"/{job.id}/progress-data/{object_type}?offset={offset}&limit=20"
        told = compare(path, lambda: drs.show_progress_data(page))
        assert len(told.flow_compare_data) <= 20
print("compared")
"#;
    assert_eq!(vendor_python(&script(compare), simulator.url("").as_bytes()), "compared\n");
}

#[tokio::test]
async fn every_way_in_by_a_key_is_open_and_others_are_not() {
    let simulator = Simulator::start(&[]).await;
    let ways = r#"
os.environ["HUAWEICLOUD_SDK_IAM_ENDPOINT"] = ENDPOINT
builder = DrsClient.new_builder().with_credentials(BasicCredentials(AK, SK))
by_region = builder.with_region(Region(id="simulated-1", endpoint=ENDPOINT)).build()
assert by_region.get_credentials().project_id == PROJECT
assert total(by_region) == 3

internal.MetadataAccessor._METADATA_ENDPOINT = ENDPOINT
of_the_host = BasicCredentials(project_id=PROJECT)
assert total(client(of_the_host)) == 3
temporary = BasicCredentials(of_the_host.ak, of_the_host.sk, PROJECT)
assert temporary.ak.startswith("SIMULATEDTEMPORARYKEY")
assert total(client(temporary.with_security_token(of_the_host.security_token))) == 3

def why(credentials):
    status, code, message = refused(lambda: total(client(credentials)))
    assert (status, code) == (401, "APIGW.0301"), (status, code)
    return message.partition(": ")[2]

print(why(temporary.with_security_token("other")))
print(why(BasicCredentials(AK, "other", PROJECT)))
print(why(BasicCredentials("other", SK, PROJECT)))
"#;
    insta::assert_snapshot!(vendor_python(&script(ways), simulator.url("").as_bytes()), @"
    X-Security-Token is not the one of this temporary access key
    the signature does not match
    there is no such access key
    ");
    let statistics = simulator.statistics().await;
    assert_eq!(statistics["authentication_failures"].as_array().unwrap().len(), 3);
}

#[tokio::test]
async fn a_request_with_one_bit_changed_is_refused() {
    let simulator = Simulator::start(&[]).await;
    let flip = r#"
request = SdkRequest(
    method="GET", schema="http", host=HOST, resource_path=f"/v5/{PROJECT}/jobs", body="",
    query_params=[("limit", 10), ("job_type", "migration")],
    header_params={"Content-Type": "application/json", "X-Language": "en-us"},
)
request = BasicCredentials(AK, SK, PROJECT).sign_request(request)
connection = http.client.HTTPConnection(HOST)

def status(uri, headers):
    connection.request("GET", uri, headers=headers)
    answer = connection.getresponse()
    answer.read()
    return answer.status

# All texts that differ in one bit, of those that are not another form of the same and can be sent.
def flipped(text):
    for place, bit in itertools.product(range(len(text)), range(7)):
        changed = chr(ord(text[place]) ^ 1 << bit)
        if text[place].isalnum() and changed.isalnum():
            yield text[:place] + changed + text[place + 1:]

uri, headers = request.uri, request.header_params
assert status(uri, headers) == 200
changes = {"signature": 0, "header": 0, "path": 0, "query": 0}

def check(what, uri, headers):
    assert status(uri, headers) == 401, (what, uri, headers)
    changes[what] += 1

start, signature = headers["Authorization"].split("Signature=")
for changed in flipped(signature):
    check("signature", uri, {**headers, "Authorization": f"{start}Signature={changed}"})
for name in ["Content-Type", "X-Language", "X-Project-Id", "X-Sdk-Date", "Host"]:
    for changed in flipped(headers[name]):
        check("header", uri, {**headers, name: changed})
for changed in flipped(PROJECT):
    check("path", uri.replace(PROJECT, changed), headers)
path, query = uri.split("?")
for changed in flipped(query):
    check("query", f"{path}?{changed}", headers)
assert min(changes.values()) > 50, changes
assert status(uri, headers) == 200
print("refused")
"#;
    assert_eq!(vendor_python(&script(flip), simulator.url("").as_bytes()), "refused\n");
}

/// Text of up to so many characters, of those that are encoded and those that are not.
fn text(rng: &mut Rng, most: usize) -> String {
    const CHARACTERS: &[char] =
        &['a', 'Z', '0', '-', '_', '.', '~', ' ', '+', '/', '%', '&', '=', '*', ':', '?', '#', 'ü', '数', '🐘'];
    (0..rng.usize(0..=most)).map(|_| *rng.choice(CHARACTERS).unwrap()).collect()
}

/// A request as no user would make it: any path, repeated keys, empty values, headers in any order, a temporary key or not.
fn request(rng: &mut Rng) -> Value {
    let path: Vec<String> = (0..rng.usize(1..5)).map(|_| text(rng, 6).replace(['/', '%'], "")).collect();
    let mut query: Vec<(String, String)> = (0..rng.usize(0..6)).map(|_| (text(rng, 3), text(rng, 6))).collect();
    if let Some((key, _)) = query.first().cloned() {
        query.push((key, text(rng, 2)));
    }
    let mut headers = vec![("Host", "drs.example.com".to_owned()), ("X-Sdk-Date", "20261122T190000Z".to_owned())];
    for name in ["Content-Type", "x-language", "X-Project-Id", "X-Security-Token", "left_out"] {
        if rng.bool() {
            let value =
                if name == "Content-Type" { "application/json".to_owned() } else { format!("  {}", text(rng, 9)) };
            headers.push((name, value));
        }
    }
    rng.shuffle(&mut headers);
    let method: &str = rng.choice(["GET", "POST", "PUT", "DELETE"]).unwrap();
    let (id, secret) = (format!("AK{}", rng.u32(..)), text(rng, 40));
    json!({
        "method": method, "path": format!("/{}", path.join("/")), "query": query, "headers": headers, "body": text(rng, 20),
        "id": id, "secret": format!("s{secret}"),
    })
}

fn pairs(value: &Value) -> Vec<(String, String)> {
    serde_json::from_value(value.clone()).unwrap()
}

fn ours(request: &Value) -> String {
    let text = |key: &str| request[key].as_str().unwrap();
    let to_sign = ToSign {
        method: text("method"),
        path: text("path"),
        query: pairs(&request["query"]),
        headers: pairs(&request["headers"]),
        body: text("body").as_bytes(),
        date: "20261122T190000Z",
    };
    authorization(&Key { id: text("id").into(), secret: text("secret").into() }, &to_sign)
}

#[test]
fn a_thousand_signatures_are_those_of_the_vendor() {
    let sign = r#"
import json, sys
from huaweicloudsdkcore.auth.credentials import BasicCredentials
from huaweicloudsdkcore.sdk_request import SdkRequest
from huaweicloudsdkcore.signer.signer import Signer

def sign(one):
    request = SdkRequest(
        method=one["method"], schema="https", host="drs.example.com", resource_path=one["path"],
        query_params=[tuple(pair) for pair in one["query"]], header_params=dict(one["headers"]), body=one["body"],
    )
    Signer(BasicCredentials(one["id"], one["secret"], "p")).sign(request)
    return request.header_params["Authorization"]

print(json.dumps([sign(one) for one in json.load(sys.stdin)]))
"#;
    let mut rng = Rng::with_seed(20_261_122);
    let requests: Vec<Value> = (0..1_000).map(|_| request(&mut rng)).collect();
    let signed = vendor_python(sign, serde_json::to_string(&requests).unwrap().as_bytes());
    let theirs: Vec<String> = serde_json::from_str(&signed).unwrap();
    assert_eq!(theirs.len(), requests.len());
    for (request, theirs) in requests.iter().zip(theirs) {
        assert_eq!(ours(request), theirs, "{request:#}");
    }
}
