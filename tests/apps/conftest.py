"""The small network of the phones' tests."""

from tests.edge.phones.conftest import fp32_file as fp32_file
