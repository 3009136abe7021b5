#include "transport/certificates.h"

#include <gtest/gtest.h>

#include <array>
#include <filesystem>

#include "sys/text_file.h"
#include "transport/openssl_handles.h"

namespace godwit::transport {
namespace {

class CertificatesTest : public testing::Test {
 protected:
  void SetUp() override {
    std::string path = testing::TempDir() + "certificates-XXXXXX";
    ASSERT_NE(mkdtemp(path.data()), nullptr);
    directory_ = path;
  }
  void TearDown() override { std::filesystem::remove_all(directory_); }
  std::string directory_;
};

CertificateHandle parse(const std::string& path) {
  BioHandle bio(BIO_new_file(path.c_str(), "r"));
  return CertificateHandle(PEM_read_bio_X509(bio.get(), nullptr, nullptr, nullptr));
}

TEST_F(CertificatesTest, NodeCertificateNamesNodeAndAddresses) {
  ASSERT_TRUE(create_authority(directory_ + "/ca"));
  std::array<std::string, 2> addresses{"10.77.0.1", "fd00::1"};
  ASSERT_TRUE(issue_node_certificate(directory_ + "/ca", directory_ + "/node", "node1", addresses));
  auto certificate = parse(directory_ + "/node/node.crt");
  ASSERT_TRUE(certificate);
  EXPECT_EQ(X509_check_host(certificate.get(), "node1", 0, 0, nullptr), 1);
  EXPECT_EQ(X509_check_host(certificate.get(), "node2", 0, 0, nullptr), 0);
  EXPECT_EQ(X509_check_ip_asc(certificate.get(), "10.77.0.1", 0), 1);
  EXPECT_EQ(X509_check_ip_asc(certificate.get(), "fd00::1", 0), 1);
  EXPECT_EQ(X509_check_ip_asc(certificate.get(), "10.77.0.2", 0), 0);
  EXPECT_EQ(X509_check_ca(certificate.get()), 0);
  EXPECT_EQ(X509_check_purpose(certificate.get(), X509_PURPOSE_SSL_CLIENT, 0), 1);
  EXPECT_EQ(X509_check_purpose(certificate.get(), X509_PURPOSE_SSL_SERVER, 0), 1);
}

TEST_F(CertificatesTest, KeysAreForTheirOwnerOnly) {
  ASSERT_TRUE(create_authority(directory_ + "/ca"));
  ASSERT_TRUE(issue_node_certificate(directory_ + "/ca", directory_ + "/node", "node1", {}));
  using std::filesystem::perms;
  EXPECT_EQ(std::filesystem::status(directory_ + "/ca/ca.key").permissions(), perms::owner_read | perms::owner_write);
  EXPECT_EQ(std::filesystem::status(directory_ + "/node/node.key").permissions(),
            perms::owner_read | perms::owner_write);
  EXPECT_EQ(std::filesystem::status(directory_ + "/ca").permissions(), perms::owner_all);
}

TEST_F(CertificatesTest, AuthorityIsNotReplaced) {
  ASSERT_TRUE(create_authority(directory_));
  auto again = create_authority(directory_);
  ASSERT_FALSE(again);
  EXPECT_EQ(again.error().kind, ErrorKind::conflict);
}

TEST_F(CertificatesTest, AJoiningNodeGetsItsKeyCertified) {
  ASSERT_TRUE(create_authority(directory_ + "/ca"));
  auto request = make_request("node7");
  ASSERT_TRUE(request);
  auto certificate = sign_request(directory_ + "/ca", request->request_pem, "node7", {});
  ASSERT_TRUE(certificate) << certificate.error().message();
  auto authority = sys::read_text(directory_ + "/ca/ca.crt");
  ASSERT_TRUE(authority);
  EXPECT_TRUE(install_node_certificate(directory_ + "/node", request->key_pem, *certificate, *authority));
  auto other = make_request("node7");
  ASSERT_TRUE(other);
  EXPECT_FALSE(install_node_certificate(directory_ + "/node", other->key_pem, *certificate, *authority));
}

TEST_F(CertificatesTest, RefusesWhatIsNoRequest) {
  ASSERT_TRUE(create_authority(directory_ + "/ca"));
  auto result = sign_request(directory_ + "/ca", "-----BEGIN CERTIFICATE REQUEST-----\nAAAA\n", "node7", {});
  ASSERT_FALSE(result);
  EXPECT_EQ(result.error().kind, ErrorKind::corrupt);
}

TEST_F(CertificatesTest, RefusesNamesThatCouldMatchOthers) {
  EXPECT_TRUE(valid_node_name("node-1"));
  for (const char* name : {"", ".example", "*", "a,b", "-x", "a b", "node\n1"})
    EXPECT_FALSE(valid_node_name(name)) << name;
  EXPECT_FALSE(valid_node_name(std::string(64, 'a')));
  ASSERT_TRUE(create_authority(directory_ + "/ca"));
  EXPECT_FALSE(issue_node_certificate(directory_ + "/ca", directory_ + "/node", "*", {}));
  std::array<std::string, 1> no_address{"not an address"};
  EXPECT_FALSE(issue_node_certificate(directory_ + "/ca", directory_ + "/node", "node1", no_address));
}

TEST_F(CertificatesTest, FingerprintTellsAuthoritiesApart) {
  ASSERT_TRUE(create_authority(directory_ + "/a"));
  ASSERT_TRUE(create_authority(directory_ + "/b"));
  auto a = fingerprint(*sys::read_text(directory_ + "/a/ca.crt"));
  auto b = fingerprint(*sys::read_text(directory_ + "/b/ca.crt"));
  ASSERT_TRUE(a && b);
  EXPECT_EQ(a->size(), 32u);
  EXPECT_NE(*a, *b);
}

}  // namespace
}  // namespace godwit::transport
