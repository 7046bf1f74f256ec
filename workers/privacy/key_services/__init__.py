"""Key services that wrap the store key: a file, hardware by PKCS#11, a cloud."""
