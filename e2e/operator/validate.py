"""Holds the custom resources in a YAML file against models generated from the schemas that their projects publish.

A field that no schema has would be dropped by the API server without a word, so it fails here.
"""

import importlib
import sys

import yaml

MODELS = {
    "cert-manager.io/v1": "cert_manager.v1",
    "kustomize.toolkit.fluxcd.io/v1": "fluxcd.kustomize.v1",
    "monitoring.coreos.com/v1": "prometheus_operator.v1",
    "monitoring.coreos.com/v1alpha1": "prometheus_operator.v1alpha1",
    "source.toolkit.fluxcd.io/v1": "fluxcd.source.v1",
}


def problems(document):
    models = importlib.import_module("cloudcoil.models." + MODELS[document["apiVersion"]])
    try:
        read = getattr(models, document["kind"]).model_validate(document)
    except ValueError as error:
        return [str(error)]
    return unknown(document, read.model_dump(by_alias=True, exclude_unset=True, mode="json"))


def unknown(given, kept, path=""):
    """The fields of a document that its model did not keep."""
    if isinstance(given, dict) and isinstance(kept, dict):
        gone = [f"{path}.{key}: no such field" for key in given if key not in kept]
        return gone + [it for key in given if key in kept for it in unknown(given[key], kept[key], f"{path}.{key}")]
    if isinstance(given, list) and isinstance(kept, list):
        return [it for at, (one, other) in enumerate(zip(given, kept)) for it in unknown(one, other, f"{path}[{at}]")]
    return []


with open(sys.argv[1], encoding="utf-8") as file:
    documents = [document for document in yaml.safe_load_all(file) if document and document["apiVersion"] in MODELS]
found = {(f"{it['kind']}/{it['metadata']['name']}", "; ".join(problems(it))) for it in documents}
for name, wrong in sorted(found):
    print(name, wrong or "ok")
sys.exit(len(found) < 12 or any(wrong for _, wrong in found))
