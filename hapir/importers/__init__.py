"""Networks from other tools: each format has a package of its own that makes a `nn.network` and its weights.

```python
from hapir.importers import read_onnx

imported = read_onnx("model.onnx", batch=1)
imported.save("model.hap")
```
"""

from hapir.importers.onnx import import_model as read_onnx

__all__ = ["read_onnx"]
