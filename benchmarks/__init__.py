"""What firstlight is measured by: python -m benchmarks.NAME"""
