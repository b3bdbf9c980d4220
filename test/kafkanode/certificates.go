package kafkanode

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"math/big"
	"net"
	"os"
	"time"
)

// certificates writes an authority of the node's own, and what it vouches for: the broker and one client.
func (n *Node) certificates() error {
	n.CA, n.ClientCert, n.ClientKey = n.file("ca.pem"), n.file("client.pem"), n.file("client-key.pem")
	authority := template("voucherwatch test authority", 1)
	authority.IsCA, authority.BasicConstraintsValid, authority.KeyUsage = true, true, x509.KeyUsageCertSign
	caKey, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return err
	}
	ca, err := issue(authority, authority, caKey, caKey)
	if err != nil {
		return err
	}
	serverKey, err1 := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	clientKey, err2 := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err := errors.Join(err1, err2); err != nil {
		return err
	}
	server := template("broker", 2)
	server.IPAddresses = []net.IP{net.IPv4(127, 0, 0, 1)}
	serverPEM, err1 := issue(server, authority, serverKey, caKey)
	clientPEM, err2 := issue(template("client", 3), authority, clientKey, caKey)
	serverKeyPEM, err3 := private(serverKey)
	clientKeyPEM, err4 := private(clientKey)
	return errors.Join(err1, err2, err3, err4,
		os.WriteFile(n.CA, ca, 0o644), os.WriteFile(n.file("server.pem"), append(serverKeyPEM, serverPEM...), 0o600),
		os.WriteFile(n.ClientCert, clientPEM, 0o644), os.WriteFile(n.ClientKey, clientKeyPEM, 0o600))
}

func template(name string, serial int64) *x509.Certificate {
	return &x509.Certificate{
		SerialNumber: big.NewInt(serial), Subject: pkix.Name{CommonName: name},
		NotBefore: time.Date(2020, 1, 1, 0, 0, 0, 0, time.UTC), NotAfter: time.Date(2120, 1, 1, 0, 0, 0, 0, time.UTC),
		KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth},
	}
}

func issue(c, by *x509.Certificate, key, byKey *ecdsa.PrivateKey) ([]byte, error) {
	der, err := x509.CreateCertificate(rand.Reader, c, by, &key.PublicKey, byKey)
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), err
}

func private(key *ecdsa.PrivateKey) ([]byte, error) {
	der, err := x509.MarshalPKCS8PrivateKey(key)
	return pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der}), err
}
