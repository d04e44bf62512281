"""The small network of the phones' tests, and the Android app with it."""

from tests.apps._android import built as built
from tests.apps._android import built_with_gpu as built_with_gpu
from tests.apps._android import bundled as bundled
from tests.edge.phones.conftest import fp32_file as fp32_file
