"""Where webhooks may be sent: into the public internet, and by no trick anywhere else."""

import pytest

from aggregator.clients.addresses import NOT_A_URL, NOT_HTTPS, NOT_PUBLIC, AddressRules, is_public

RULES = AddressRules((443, 8443))
PORT = "The port must be 443 or 8443."
# By what is wrong with them; the canary of test_webhooks.py is offered all of them, too.
REFUSED = {
    NOT_HTTPS: ["http://shop.example.com/", "ftp://shop.example.com/", "gopher://shop.example.com/", "ws://a.example/"],
    PORT: [
        "https://shop.example.com:80/",
        "https://shop.example.com:22/",
        "https://shop.example.com:0/",
        "https://shop.example.com:65979/",  # 443 and a bit
    ],
    NOT_PUBLIC: [
        "https://127.0.0.1/",
        "https://127.0.0.1./",
        "https://127.1/",
        "https://127.0.1/",
        "https://2130706433/",
        "https://017700000001/",
        "https://0177.0.0.1/",
        "https://0x7f.0.0.1/",
        "https://0x7f000001/",
        "https://0X7F.1/",
        "https://127.0.0.0x1/",
        "https://127.0.0.09/",
        "https://256.256.256.256/",
        "https://0/",
        "https://0.0.0.0/",
        "https://10.0.0.1/",
        "https://100.64.0.1/",
        "https://168.63.129.16/",
        "https://169.254.169.254/latest/meta-data/",
        "https://172.16.0.1/",
        "https://192.0.0.1/",
        "https://192.0.0.8/",
        "https://192.88.99.1/",
        "https://192.168.1.1/",
        "https://198.18.0.1/",
        "https://224.0.0.1/",
        "https://239.255.255.250/",
        "https://240.0.0.1/",
        "https://255.255.255.255/",
        "https://\uff11\uff12\uff17.0.0.1/",
        "https://\u2460\u2461\u2466.\u24ea.\u24ea.\u2460/",
        "https://127\u30020\u30020\u30021/",
        "https://[::1]/",
        "https://[::]/",
        "https://[0:0:0:0:0:0:0:1]/",
        "https://[::127.0.0.1]/",
        "https://[::ffff:127.0.0.1]/",
        "https://[::ffff:7f00:1]/",
        "https://[::ffff:0:127.0.0.1]/",
        "https://[::ffff:8.8.8.8]/",
        "https://[64:ff9b::127.0.0.1]/",
        "https://[64:ff9b::a9fe:a9fe]/",
        "https://[64:ff9b:1::7f00:1]/",
        "https://[2002:7f00:1::]/",
        "https://[2001:0:7f00:1::]/",
        "https://[2001:20::1]/",
        "https://[2001:db8::1]/",
        "https://[3fff::1]/",
        "https://[5f00::1]/",
        "https://[100::1]/",
        "https://[fe80::1]/",
        "https://[fec0::1]/",
        "https://[fc00::1]/",
        "https://[fd00:ec2::254]/",
        "https://[ff02::1]/",
        "https://localhost/",
        "https://LOCALHOST/",
        "https://localhost./",
        "https://\u24dbocalhost/",
        "https://a.localhost/",
        "https://localhost.localdomain/",
        "https://printer.local/",
        "https://metadata.google.internal/",
        "https://router.lan/",
        "https://nas.home.arpa/",
        "https://1.0.0.127.in-addr.arpa/",
        "https://orders.shop.svc/",
        "https://shop.test/",
        "https://shop.onion/",
        "https://metadata/",
    ],
    NOT_A_URL: [
        "",
        "https://",
        "https:///hook",
        "https:shop.example.com",
        "//shop.example.com/",
        "shop.example.com",
        "javascript:alert(1)",
        "file:///etc/passwd",
        "https://user@shop.example.com/",
        "https://user:password@shop.example.com/",
        "https://shop.example.com@127.0.0.1/",
        "https://shop.example.com:443@127.0.0.1/",
        "https://127.0.0.1\\@shop.example.com/",
        "https://shop.example.com\\@127.0.0.1/",
        "https://shop.example.com#@127.0.0.1/",
        "https://shop.example.com/#fragment",
        "https://shop.example.com/#",
        "https://shop.example.com:\uff14\uff14\uff13/",
        "https://shop.example.com:443443443/",
        "https://shop.example.com:-1/",
        "https://shop.example.com:443:443/",
        "https://%31%32%37.0.0.1/",
        "https://127.0.0.1%2f.example.com/",
        "https://127.0.0.1%00.example.com/",
        "https://[::1%25lo]/",
        "https://[fe80::1%eth0]/",
        "https://[::1/",
        "https://[::1]x/",
        "https://[v1.x]/",
        "https://[12345::]/",
        "https://shop..example.com/",
        "https://.example.com/",
        "https://..",
        "https://shop.example.com../",
        "https://shop_1.example.com/",
        "https://-shop.example.com/",
        "https://xn--.example.com/",
        f"https://{'a' * 64}.example.com/",
        f"https://{'a.' * 127}example.com/",
        "https://shop.example.com/a b",
        " https://shop.example.com/",
        "https://shop.example.com/\n",
        "https://shop.example.com/\r\nHost: 127.0.0.1",
        "https://shop.exa\tmple.com/",
        "https://shop.example.com/ö",
        "https://shop.example.com/\ud800",
        "https://shop\0.example.com/",
    ],
}


def complaint(url: str, rules: AddressRules = RULES) -> str | None:
    """What is wrong with a URL."""
    try:
        rules.checked(url)
    except ValueError as error:
        return str(error)
    return None


class TestUrls:
    @pytest.mark.parametrize("reason", REFUSED)
    def test_that_lead_elsewhere_are_refused_with_the_reason(self, reason):
        assert {url: complaint(url) for url in REFUSED[reason]} == dict.fromkeys(REFUSED[reason], reason)

    @pytest.mark.parametrize(
        ("url", "spelled"),
        [
            ("https://shop.example.com/hook?a=%20b&c%5B%5D=1", None),
            ("https://shop.example.com:8443/", None),
            ("https://shop.example.com", "https://shop.example.com/"),
            ("https://shop.example.com:443", "https://shop.example.com/"),
            ("https://shop.example.com:/x", "https://shop.example.com/x"),
            ("https://shop.example.com?x=1", "https://shop.example.com/?x=1"),
            ("HTTPS://Shop.Example.COM./Hook", "https://shop.example.com/Hook"),
            ("https://bücher.example/", "https://xn--bcher-kva.example/"),
            ("https://\uff33\uff28\uff2f\uff30.example/", "https://shop.example/"),
            ("https://8.8.8.8/@a:b/", None),
            ("https://[2606:4700:0::1111]/", "https://[2606:4700::1111]/"),
            ("https://localhost.example.com/", None),
            ("https://my.notlocal/", None),
            ("https://test.example.com/", None),
            ("https://svc.latest/", None),
        ],
    )
    def test_in_the_public_internet_are_spelled_in_one_way(self, url, spelled):
        assert RULES.checked(url) == (spelled or url)
        assert RULES.checked(RULES.checked(url)) == RULES.checked(url)

    def test_of_test_hosts_may_be_anything_but_something_else_than_http(self):
        rules = AddressRules(test_hosts=("127.0.0.1", "localhost", "::1"))
        allowed = ["http://127.0.0.1:8080/x", "https://localhost:1/", "http://[::1]/", "http://127.0.0.1/"]

        assert [rules.checked(url) for url in allowed] == allowed
        assert complaint("ftp://localhost/", rules) == NOT_HTTPS
        assert complaint("http://127.0.0.1:70000/", rules) == NOT_HTTPS
        assert complaint("http://127.0.0.2/", rules) == NOT_HTTPS
        assert complaint("https://127.0.0.2/", rules) == NOT_PUBLIC
        assert complaint("http://u@127.0.0.1/", rules) == NOT_A_URL


class TestAddresses:
    @pytest.mark.parametrize("address", ["1.1.1.1", "8.8.8.8", "93.184.215.14", "2606:4700::1111", "2a00:1450::1"])
    def test_of_the_public_internet_are_public(self, address):
        assert is_public(address)
        assert RULES.may_connect("https://shop.example.com/", address)

    @pytest.mark.parametrize(
        "address",
        [url.removeprefix("https://").partition("/")[0].strip("[]") for url in REFUSED[NOT_PUBLIC]]
        + ["fe80::1%lo", "", "/tmp/socket", "8.8.8.8:443", "::ffff:10.0.0.1", "::8.8.8.8"],
    )
    def test_of_any_other_kind_are_not(self, address):
        assert not is_public(address)
        assert not RULES.may_connect("https://shop.example.com/", address)

    def test_every_network_that_is_set_aside_is_not_public_to_its_last_address(self):
        edges = {
            "9.255.255.255 11.0.0.0": True,
            "10.0.0.0 10.255.255.255": False,
            "168.63.129.15 168.63.129.17": True,
            "100.63.255.255 100.128.0.0": True,
            "100.64.0.0 100.127.255.255": False,
            "172.15.255.255 172.32.0.0": True,
            "172.16.0.0 172.31.255.255": False,
            "191.255.255.255 192.0.1.0": True,
            "192.0.0.0 192.0.0.255 192.0.2.255 192.168.0.0 192.168.255.255": False,
            "223.255.255.255": True,
            "224.0.0.0 239.255.255.255": False,
            "2001:200:: 2003:: 3ffe:ffff:: 2000::": True,
            "2001:: 2001:1ff:ffff:: 2002:ffff:: 3fff:fff:: 1fff:: 4000::": False,
        }
        for addresses, public in edges.items():
            assert {address: is_public(address) for address in addresses.split()} == dict.fromkeys(
                addresses.split(), public
            )

    def test_of_test_hosts_may_be_any(self):
        rules = AddressRules(test_hosts=("127.0.0.1", "hooks.test"))

        assert rules.may_connect("http://127.0.0.1:8080/", "127.0.0.1")
        assert rules.may_connect("http://hooks.test/", "10.0.0.1")
        assert not rules.may_connect("https://shop.example.com/", "127.0.0.1")
        assert not rules.may_connect("nonsense", "127.0.0.1")
