"""What processes must agree on: records, topics, bytes, settings and metric names.

Light on purpose: importing this package loads no TensorFlow, no openSMILE, no Faust and no Kafka client.
"""
