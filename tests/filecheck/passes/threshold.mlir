// RUN: hapir opt %s -p threshold --weights threshold.safetensors | filecheck %s
