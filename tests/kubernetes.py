"""Renders the Helm chart with several values and checks what Kubernetes would say of it, all in one run.

Standard input is JSON: `chart`, a folder; `values`, YAML by name; `manifests`, more YAML to check, by name. Standard output is JSON, by the
same names: `error`, why there is no rendering; `texts`, by template; `notes`; `findings` of lint; `documents`; `complaints` about them.
"""

import functools
import json
import os
import sys
import tempfile

TARGET = os.path.join(os.path.dirname(__file__), "..", "target")
sys.path[:0] = [os.path.join(TARGET, "helm"), os.path.join(TARGET, "kubernetes-validate")]

import helm_python as helm
import kubernetes_validate
import yaml

# The oldest that the chart says it is for, and the newest that is known.
VERSIONS = ["1.25", kubernetes_validate.latest_version()]

# Lint's word for what is only a hint.
INFO = 1

# Read once, and not again for each document.
kubernetes_validate.utils.schema_contents = functools.cache(kubernetes_validate.utils.schema_contents)


@functools.cache
def complaints(document):
    document, said = json.loads(document), []
    # The operator's own kinds are known to the operator alone.
    if document["apiVersion"].startswith("monitoring.coreos.com/"):
        return said
    for version in VERSIONS:
        try:
            kubernetes_validate.validate(document, version, strict=True)
        except kubernetes_validate.ValidationError as error:
            path = "/".join(str(part) for part in error.path)
            said.append(f"{document['kind']} {document['metadata']['name']}, Kubernetes {version}: {path}: {error.message}")
    return said


def judged(texts):
    documents = [document for text in texts for document in yaml.safe_load_all(text) if document]
    return {"documents": documents, "complaints": [said for document in documents for said in complaints(json.dumps(document))]}


def rendered(folder, chart, text):
    values = helm.values_from_yaml(text)
    try:
        texts = chart.render(values, name="drs", namespace="monitoring")
    except helm.HelmError as error:
        return {"error": str(error)}
    texts = {path.rsplit("/", 1)[1]: text for path, text in sorted(texts.items()) if text.strip()}
    notes = texts.pop("NOTES.txt")
    report = helm.lint(folder, values, strict=True)
    findings = [message["error"] for message in report["messages"] if message["severity"] > INFO] + report["errors"]
    return {"texts": texts, "notes": notes, "findings": findings, **judged(texts.values())}


def main():
    asked = json.load(sys.stdin)
    # What is rendered is the archive that others get, without the checkout that the chart's links lead to; lint looks at the folder.
    with tempfile.TemporaryDirectory() as folder:
        with open(helm.package(asked["chart"], destination=folder), "rb") as archive:
            chart = helm.Chart.load_archive(archive.read())
    answer = {name: rendered(asked["chart"], chart, text) for name, text in asked["values"].items()}
    answer |= {name: judged([text]) for name, text in asked["manifests"].items()}
    json.dump(answer, sys.stdout)


main()
