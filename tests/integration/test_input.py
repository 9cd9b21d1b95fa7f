"""The files that people have, in small made-up examples of each layout: exact counts, and the same counts from `freshet
replay --dry-run` and from `freshet evaluate`, which read through one reader. No broker is needed."""

import bz2
import datetime
import decimal
import gzip
import io
import json
import lzma
import subprocess
import tempfile
import unittest
import zipfile
from pathlib import Path

import fastavro

from harness import BINARY, EXIT_FAILED, EXIT_OK, EXIT_REJECTS, EXIT_USAGE, main

START_S = 1_600_000_000
HEAD = "user_id,item_id,occurred_at\n"


def csv(rows, head=HEAD):
    return head + "".join(rows)


def row(i):
    return f"u{i},i{i},{START_S + i}\n"


def avro(schema, records, codec="null"):
    out = io.BytesIO()
    fastavro.writer(out, fastavro.parse_schema(schema), records, codec=codec)
    return out.getvalue()


def record(name, *fields):
    return {"type": "record", "name": name, "fields": [{"name": n, "type": t} for n, t in fields]}


class InputCase(unittest.TestCase):
    def setUp(self):
        self.scratch = tempfile.TemporaryDirectory()
        self.folder = Path(self.scratch.name)
        self.addCleanup(self.scratch.cleanup)

    def write(self, name, content):
        path = self.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
        return path

    def run_freshet(self, *arguments, stdin=None):
        return subprocess.run([BINARY, *map(str, arguments)], capture_output=True, input=stdin, timeout=60)

    def counts(self, *arguments, stdin=None):
        """(events, items, rejected) and all of the summary, after comparing both commands."""
        dry = self.run_freshet("replay", "--dry-run", "--json", *arguments, stdin=stdin)
        learned = self.run_freshet("evaluate", "--json", "-X", "text.encoder=hashing", *arguments, stdin=stdin)
        self.assertTrue(dry.stdout, dry.stderr)
        self.assertTrue(learned.stdout, learned.stderr)
        summary, report = json.loads(dry.stdout), json.loads(learned.stdout)
        names = ("events", "items", "rejected")
        self.assertEqual([report[n] for n in names], [summary[n] for n in names], arguments)
        self.assertEqual(dry.returncode, EXIT_REJECTS if summary["rejected"] else EXIT_OK, dry.stderr)
        return tuple(summary[n] for n in names), summary

    def check(self, content, expected, *options, kind="--events", name="x"):
        counts, summary = self.counts(kind, self.write(name, content), *options)
        self.assertEqual(counts, expected, (name, options, summary))
        return summary

    def refuse(self, content, said, *options, code=EXIT_FAILED, kind="--events", name="x"):
        path = self.write(name, content)
        for command in (["replay", "--dry-run"], ["evaluate"]):
            result = self.run_freshet(*command, kind, path, *options)
            self.assertEqual(result.returncode, code, (command, result.stderr))
            self.assertIn(said, result.stderr.decode(errors="replace"), command)


class Tables(InputCase):
    def test_separators_are_told(self):
        for separator in ",;\t|":
            text = csv([row(1), row(2)]).replace(",", separator)
            self.check(text, (2, 0, 0))
            self.check(text.replace("\n", "\r\n"), (2, 0, 0))
            self.check(text.replace("\n", "\r"), (2, 0, 0))
        self.check(csv([row(1)]).replace(",", "::"), (1, 0, 0), "--separator", "::")
        # the columns' names decide, not the number of commas below them
        self.check('user_id;item_id;occurred_at;price\nu;i;1600000000;"1,5,5"\nu;j;1600000000;"1,5"\n', (2, 0, 0))

    def test_names(self):
        self.check(" User_ID , Item-Id,OccurredAt\nu,i,1600000000\n", (1, 0, 0))
        self.check("1,2014-04-07T10:51:09.277Z,214536502,0\n", (1, 0, 0), "--columns", "user_id,occurred_at,item_id,-")
        self.check("customer,sku,at\nc,s,1600000000\n", (1, 0, 0), "--map", "user_id=customer,item_id=sku,occurred_at=at")
        self.refuse("customer,sku,at\nc,s,1600000000\n", "no column 'custmer'", "--map",
                    "user_id=custmer,item_id=sku,occurred_at=at", kind="--from")
        self.refuse(csv([row(1)]), "among 'user_id, item_id, occurred_at'", "--map", "value=stars")

    def test_quotes_and_encodings(self):
        head = "user_id,item_id,occurred_at,title\n"
        self.check(csv(['u,i,1600000000,"a ""b"", c"\n'], head), (1, 0, 0))
        self.check(csv(['u,i,1600000000,"a \\"b\\", c"\n', 'u,j,1600000000,"\\""\n'], head), (2, 0, 0))
        self.check(csv(['u,i,1600000000, "a, b"\n'], head), (1, 0, 0))
        self.check(csv(['u,i,1600000000,7" pipe\n'], head), (1, 0, 0), "--quote", "none")
        latin = csv(["Zoë,i,1600000000\n"])
        self.check(latin.encode("latin-1"), (0, 0, 1))
        summary = self.check(latin.encode("latin-1"), (1, 0, 0), "--encoding", "latin1")
        self.assertIn("Zoë", summary["first_event"])
        self.check(csv([row(1)]).encode("utf-16"), (1, 0, 0), "--encoding", "utf-16")
        self.refuse(csv([row(1)]).encode("utf-16"), "--encoding utf-16")
        self.refuse(csv([row(1)]).encode("utf-16-be"), "--encoding utf-16")
        self.refuse(csv([row(1)]), "encoding 'klingon' is not known", "--encoding", "klingon")

    def test_blanks(self):
        text = csv(["u,i,1600000000\n", " u , i ,1600000001\n"])
        self.assertEqual(self.check(text, (2, 0, 0))["users"], 1)
        self.assertEqual(self.check(text, (2, 0, 0), "--keep-blanks")["users"], 2)


class Times(InputCase):
    def one(self, time, expected, *options):
        summary = self.check(csv([f'u,i,"{time}"\n']), (1, 0, 0), *options)
        self.assertEqual(summary["from"], expected, time)

    def test_forms(self):
        noon = "2019-10-01T12:00:00Z"
        for time in ("2019-10-01 12:00:00 UTC", "2019-10-01T12:00:00.123456789Z", "2019-10-01 14:00:00+02:00",
                     "2019-10-01 14:00:00 +0200", "2019-10-01T14:00:00+02:00[Europe/Paris]", "20191001T120000Z",
                     "2019-10-01T12:00", "1569931200", "1569931200.5", "1569931200000", "1569931200000000",
                     "1569931200000000000"):
            self.one(time, noon)
        self.one("2019-10-01", "2019-10-01T00:00:00Z")
        self.one("01/10/2019 12:00", noon, "--time-format", "%d/%m/%Y %H:%M")
        self.one("Tue Oct 01 12:00:00.25 +0000 2019", noon, "--time-format", "%a %b %d %H:%M:%S.%f %z %Y")
        self.one("20191001120000", noon, "--time-format", "%Y%m%d%H%M%S")
        self.one("86400", "1970-01-02T00:00:00Z", "--time-unit", "s")

    def test_a_first_time_must_be_likely(self):
        for time in ("20240131123000", "20240131", "0", "12345", "1970-01-20T16:13:20Z", "4102444800", "01/02/2020"):
            self.check(csv([f"u,i,{time}\n"]), (0, 0, 1))
        self.check(csv([row(1), "u,i,1970-01-20\n"]), (2, 0, 0))
        self.check(csv(["u,i,1700000000000000\n", "u,j,1700000000\n"]), (1, 0, 1))  # microseconds, then seconds
        summary = self.check("item_id,created_at\nold,1931-05-01\nolder,-315619200\n", (0, 2, 0), kind="--items")
        self.assertEqual(summary["reasons"], [])


class Values(InputCase):
    def test_types(self):
        words = ["pv", "page_view", "Add To Cart", "fav", "wishlist", "buy", "order", "transaction", "Order Completed", "cart removed"]
        text = "type,user_id,item_id,occurred_at\n" + "".join(f"{w},u,i{n},{START_S}\n" for n, w in enumerate(words))
        summary = self.check(text, (8, 0, 2))
        self.assertEqual(summary["types"], {"click": 5, "rating": 0, "purchase": 3, "feedback": 0})
        self.assertEqual(summary["unknown_types"], {"Order Completed": 1, "cart removed": 1})
        summary = self.check(text, (9, 0, 0), "--types", "Order Completed=purchase,cart removed=-")
        self.assertEqual((summary["types"]["purchase"], summary["left_out"]), (4, 1))
        self.refuse(text, "is not WORD=click", "--types", "cart=nothing", code=EXIT_USAGE)

    def test_quantities_and_prices(self):
        head = "user_id,item_id,occurred_at,quantity,price\n"
        text = head + "".join(f"u,i{n},{START_S},{q},{p}\n" for n, (q, p) in enumerate(
            [("0.345", "1"), ("1.5", "$5"), ("-1", "2"), ("3", "nan"), ("many", "1"), ("-0.5", "x")]))
        summary = self.check(text, (4, 0, 0))
        self.assertEqual([summary[c] for c in ("returns", "lost_prices", "lost_quantities")], [2, 1, 1])
        summary = self.check(text, (6, 0, 0), "--returns", "dislike")
        self.assertEqual((summary["returns"], summary["types"]["feedback"], summary["types"]["purchase"]), (0, 2, 4))
        self.check(head + f"u,i,{START_S},0,1\n", (0, 0, 1))
        self.refuse(text, "ignore or dislike", "--returns", "maybe", code=EXIT_USAGE)
        self.check(head + 'u,i,1600000000,"1,5","1.234,50"\n', (1, 0, 0), "--decimal-comma")
        self.check("type,user_id,item_id,occurred_at,value\nclick,u,i,1600000000,NaN\n", (1, 0, 0))

    def test_words_for_no_value(self):
        users = ["NULL", "\\N", "nan", "42.0", "Null"]
        text = "user_id,item_id,occurred_at\n" + "".join(f"{u},i{n},{START_S}\n" for n, u in enumerate(users))
        summary = self.check(text, (2, 0, 3))
        self.assertIn("user 42 clicked i3", summary["first_event"])
        self.check(text, (2, 0, 3), "--missing", "")  # the service takes no such id either

    def test_a_file_without_a_needed_name_is_refused(self):
        self.refuse('{"data": [{"user_id": "u"}]}', "no column 'item_id', which events need, among 'data'")

    def test_json_values(self):
        def line(**fields):
            return json.dumps({"user_id": "u", "item_id": "i", "occurred_at": START_S, **fields}) + "\n"
        for field, value in (("user_id", {"a": 1}), ("item_id", [1]), ("occurred_at", True), ("value", {}), ("event_id", [])):
            summary = self.check(line(**{field: value}), (0, 0, 1))
            self.assertIn(f"{field} is ", summary["reasons"][0]["example"])
        wrapped = line(user_id={"$oid": "65f0"}, item_id={"$numberLong": "12"}, occurred_at={"$date": "2024-03-12T10:00:00Z"})
        self.assertIn("user 65f0 clicked 12 on 2024-03-12", self.check(wrapped, (1, 0, 0))["first_event"])
        self.assertIn("user 123456789012345678901234", self.check(line().replace('"u"', "123456789012345678901234"), (1, 0, 0))["first_event"])
        self.check(line(other=float("nan")), (1, 0, 0))
        nested = json.dumps({"who": {"id": "u"}, "goods": [{"sku": "i"}], "occurred_at": START_S})
        self.check(nested, (1, 0, 0), "--map", "user_id=who.id,item_id=goods.0.sku")
        self.refuse(nested, "no column 'who.name'", "--map", "user_id=who.name,item_id=goods.0.sku", kind="--from")
        array = "[" + line().strip() + ",\n" + json.dumps({"user_id": "v", "item_id": "i", "occurred_at": START_S}, indent=1) + "]"
        self.check(array, (2, 0, 0))
        self.refuse(array[:-1], "the array is cut off")
        self.check(line() + "not json\n" + line(), (2, 0, 1))
        self.check(line()[:-2] + "\n" + line() + line(), (2, 0, 1))
        self.check((line() + line()).replace("\n", "\r"), (2, 0, 0))
        self.check('{"item_id": "i", "vector": [0.5, 1], "title": ["a", "b"]}\n{"item_id": "j", "vector": ["x"]}\n', (0, 1, 1), kind="--items")

    def test_ids_that_repeat(self):
        text = "event_id,user_id,item_id,occurred_at\n536365,u,a,1600000000\n536365,u,b,1600000000\n536365,u,b,1600000000\n"
        summary = self.check(text, (3, 0, 0))
        self.assertEqual((summary["conflicting_ids"], summary["duplicates"]), (2, 0))
        self.assertEqual(self.check(text, (3, 0, 0), "--derive-ids")["conflicting_ids"], 0)


class Containers(InputCase):
    def test_wrappings(self):
        plain = csv([row(i) for i in range(50)]).encode()
        packed = {"gz": gzip.compress(plain) + gzip.compress(row(99).encode()), "bz2": bz2.compress(plain), "xz": lzma.compress(plain)}
        zipped = io.BytesIO()
        with zipfile.ZipFile(zipped, "w", zipfile.ZIP_DEFLATED) as archive:
            archive.writestr("e.csv", plain)
        packed["zip"] = zipped.getvalue()
        for name, content in packed.items():
            events = 51 if name == "gz" else 50
            self.check(content, (events, 0, 0), name="data")
            self.assertEqual(self.counts("--events", "-", stdin=content)[0], (events, 0, 0))
            result = self.run_freshet("replay", "--dry-run", "--events", self.write("cut", content[:-30]))
            self.assertEqual(result.returncode, EXIT_FAILED, (name, result.stderr))
            self.assertIn(b"broken or cut off", result.stderr)
        with zipfile.ZipFile(zipped, "a") as archive:
            archive.writestr("f.csv", plain)
        self.refuse(zipped.getvalue(), "archive of several files (e.csv, f.csv)")

    def test_foreign_files_are_named(self):
        for content, said in ((b"PAR1\0\0", "a Parquet file"), (b"\xd0\xcf\x11\xe0\xa1\xb1", "an Excel workbook"),
                              (b"SQLite format 3\0", "an SQLite database"), (b"ARROW1\0\0", "an Arrow")):
            self.refuse(content, said)
        workbook = io.BytesIO()
        with zipfile.ZipFile(workbook, "w") as archive:
            archive.writestr("[Content_Types].xml", "x")
            archive.writestr("xl/workbook.xml", "x")
        self.refuse(workbook.getvalue(), "an Excel workbook")
        self.refuse(b"", "the file is empty")

    def test_avro_of_data_lakes(self):
        when = datetime.datetime(2023, 11, 14, 22, 13, 20, tzinfo=datetime.timezone.utc)

        def logical(base, name, **more):
            return {"type": base, "logicalType": name, **more}
        files = {
            "spark": (record("topLevelRecord", ("user_id", ["string", "null"]), ("item_id", ["null", "long"]),
                             ("occurred_at", [logical("long", "timestamp-micros"), "null"]), ("value", ["double", "null"])),
                      {"user_id": "u", "item_id": 5, "occurred_at": when, "value": 4.5}),
            "bigquery": (record("Root", ("user_id", ["null", "long"]), ("item_id", ["null", "string"]),
                                ("occurred_at", ["null", logical("long", "timestamp-micros")]), ("quantity", ["null", "double"]),
                                ("price", ["null", logical("bytes", "decimal", precision=9, scale=2)])),
                         {"user_id": 1, "item_id": "i", "occurred_at": when, "quantity": 1.5, "price": decimal.Decimal("9.50")}),
            "enum": (record("Event", ("user_id", "string"), ("item_id", "string"), ("occurred_at", "long"),
                            ("type", {"type": "enum", "name": "T", "symbols": ["VIEW", "BUY"]})),
                     {"user_id": "u", "item_id": "i", "occurred_at": 1_700_000_000, "type": "BUY"}),
            "nested": (record("Envelope", ("event", record("Inner", ("who", "string"), ("what", "string"))),
                              ("occurred_at", logical("int", "date"))),
                       {"event": {"who": "u", "what": "i"}, "occurred_at": datetime.date(2023, 11, 14)}),
        }
        for name, (schema, value) in files.items():
            options = ["--map", "user_id=event.who,item_id=event.what"] if name == "nested" else []
            for codec in ("null", "deflate", "bzip2", "xz", "snappy", "zstandard"):
                summary = self.check(avro(schema, [value], codec), (1, 0, 0), *options, name=name)
                self.assertTrue(summary["from"].startswith("2023-11-14"), (name, summary))
        schema, value = files["spark"]
        self.refuse(avro(schema, [value])[:-4], "broken or cut off")
        self.refuse(avro(schema, [value]), "no column 'when'", "--map", "occurred_at=when")


class Items(InputCase):
    def test_lists(self):
        for separator in "|;,>":
            text = "item_id;categories\n".replace(";", "\t") + "".join(f"i{n}\ta{separator}b\n" for n in range(5))
            result = self.run_freshet("replay", "--dry-run", "--items", self.write("x", text))
            self.assertIn(f"lists separated by {separator}".encode(), result.stderr)
        doubtful = "item_id\tcategories\n" + "".join(f"i{n}\ta,b > c\n" for n in range(5))
        result = self.run_freshet("replay", "--dry-run", "--items", self.write("x", doubtful))
        self.assertIn(b"most of which have a > too", result.stderr)
        self.check("item_id,vector\ni,0.5 0.25 1\nj,[1; 2]\nk,0.5 x\n", (0, 2, 1), kind="--items")


class DataSets(InputCase):
    """Made-up files in the layouts of the known sets: name, files, options, (events, items, rejected)."""

    def test_layouts(self):
        python = "{u'username': u'a', u'product_id': u'10', u'date': u'2018-01-05', u'text': u'it\\'s', u'x': None}\n"
        review = {"reviewerID": "A1", "asin": "B1", "overall": 5.0, "unixReviewTime": 1514764800, "image": ["x"]}
        shelf = {"user_id": "a", "book_id": "7", "rating": 0, "date_added": "Fri Nov 10 15:00:00 -0800 2017"}
        sets = [
            ("yoochoose", {"yoochoose-clicks.dat": "1,2014-04-07T10:51:09.277Z,214536502,0\n1,2014-04-07T10:54:09.868Z,214536500,S\n",
                           "yoochoose-buys.dat": "420374,2014-04-06T18:44:58.314Z,214537888,12462,1\n420374,2014-04-06T18:44:58.325Z,214537850,0,0\n"},
             (4, 0, 0)),
            ("diginetica", {"train-item-views.csv": "sessionId;userId;itemId;timeframe;eventdate\n1;NA;81766;526309;2016-05-09\n",
                            "train-purchases.csv": "sessionId;userId;timeframe;eventdate;ordernumber;itemId\n150;18278;17100868;2016-05-06;16421;25911\n",
                            "products.csv": "itemId;pricelog2;product.name.tokens\n1;10;4875,776\n"}, (2, 1, 0)),
            ("rees46", {"2019-Oct.csv": "event_time,event_type,product_id,category_id,category_code,brand,price,user_id,user_session\n"
                                        "2019-10-01 00:00:00 UTC,view,44,21,,shiseido,35.79,54,72d\n"
                                        "2019-10-01 00:00:09 UTC,remove_from_cart,44,21,,shiseido,35.79,54,72d\n"
                                        "2019-10-01 00:00:10 UTC,purchase,44,21,,shiseido,35.79,54,72d\n"}, (2, 0, 0)),
            ("amazon2018", {"Books_5.json": json.dumps(review) + "\n", "Books.csv": "B1,A1,5.0,1514764800\n",
                            "meta_Books.json": json.dumps({"asin": "B1", "title": "T", "description": ["a", "b"], "category": ["Books"]}) + "\n"},
             (2, 1, 0)),
            ("amazon2023", {"Books.jsonl": json.dumps({"rating": 4.0, "title": "x", "parent_asin": "P", "user_id": "U", "timestamp": 1588687728923}) + "\n",
                            "meta_Books.jsonl": json.dumps({"parent_asin": "P", "title": "T", "description": [], "categories": ["A", "B"]}) + "\n",
                            "Toys.csv": "user_id,parent_asin,rating,timestamp\nU,P,5.0,1588687728923\n"}, (2, 1, 0)),
            ("bookcrossing", {"BX-Book-Ratings.csv": '"User-ID";"ISBN";"Book-Rating"\n"276725";"034545104X";"0"\n"276726";"0155061224";"10"\n',
                              "BX-Books.csv": '"ISBN";"Book-Title";"Book-Author"\n"034545104X";"Real \\"J. P\\" caf\xe9";"M"\n'.encode("latin-1")},
             (2, 1, 0)),
            ("goodreads", {"goodreads_interactions_poetry.json": json.dumps(shelf) + "\n" + json.dumps({**shelf, "rating": 5}) + "\n",
                           "goodreads_books_poetry.json": json.dumps({"book_id": "7", "title": "T", "description": "d"}) + "\n"}, (2, 1, 0)),
            ("lastfm", {"userid-timestamp-artid-artname-traid-traname.tsv": 'user_000001\t2009-05-04T23:08:57Z\tf1b1\tDeep "Dish\t\tFuck Me\n',
                        "usersha1-artmbid-artname-plays.tsv": "00000c28\t3bd7\tbetty blowtorch\t2137\n"}, (2, 0, 0)),
            ("steam", {"steam-200k.csv": '151603712,"The Elder Scrolls V Skyrim",purchase,1.0,0\n151603712,"The Elder Scrolls V Skyrim",play,273.0,0\n',
                       "steam_reviews.json": python}, (3, 0, 0)),
            ("yelp", {"yelp_academic_dataset_review.json": json.dumps({"review_id": "r", "user_id": "u", "business_id": "b", "stars": 4.0, "date": "2016-03-09 00:56:34"}),
                      "yelp_academic_dataset_business.json": json.dumps({"business_id": "b", "name": "N", "categories": "Food, Bars", "attributes": {"WiFi": "u'free'"}})},
             (1, 1, 0)),
            ("mind", {"behaviors.tsv": "1\tU1\t11/11/2019 9:05:58 AM\tN1 N2\tN3-1 N4-0 N5-1\n2\tU2\t11/12/2019 6:11:30 PM\t\tN3-0\n",
                      "news.tsv": "N3\tlifestyle\tlifestyleroyals\tThe Brands\tShop\thttps://x\t[]\t[]\n"}, (2, 1, 0)),
            ("hm", {"transactions_train.csv": "t_dat,customer_id,article_id,price,sales_channel_id\n2018-09-20,000058a1,0663713001,0.0508,2\n",
                    "articles.csv": "article_id,prod_name,product_group_name,detail_desc\n0108775015,Strap top,Garment Upper body,\"Jersey, narrow\"\n"}, (1, 1, 0)),
            ("instacart", {"order_products__prior.csv": "order_id,product_id,add_to_cart_order,reordered\n2,33120,1,1\n2,28985,2,1\n",
                           "products.csv": "product_id,product_name,aisle_id,department_id\n1,Cookies,61,19\n"}, (2, 1, 0)),
            ("onlineretail", {"OnlineRetail.csv": "InvoiceNo,StockCode,Description,Quantity,InvoiceDate,UnitPrice,CustomerID,Country\n"
                                                  "536365,85123A,HOLDER,6,2010-12-01 08:26:00,2.55,17850,United Kingdom\n"
                                                  "536365,71053,LANTERN,6,2010-12-01 08:26:00,3.39,17850,United Kingdom\n"
                                                  "C536379,D,Discount,-1,2010-12-01 09:41:00,27.5,14527,United Kingdom\n"
                                                  "536414,22139,,56,2010-12-01 11:52:00,0,,United Kingdom\n",
                              "online_retail_II.csv": "Invoice,StockCode,Description,Quantity,InvoiceDate,Price,Customer ID,Country\n"
                                                      "489434,85048,LIGHTS,12,12/1/2009 7:45,6.95,13085,United Kingdom\n"}, (3, 0, 1)),
            ("taobao", {"UserBehavior.csv": "1,2268318,2520377,pv,1511544070\n1,2333346,2520771,fav,1511561733\n1,2576651,149192,buy,1511572885\n"}, (3, 0, 0)),
            ("kuairec", {"big_matrix.csv": "user_id,video_id,play_duration,video_duration,time,date,timestamp,watch_ratio\n0,3649,13838,10867,2020-07-05 00:08:23.438,20200705,1593878903.438,1.27\n"},
             (1, 0, 0)),
        ]
        for name, files, expected in sets:
            with self.subTest(name):
                for file, content in files.items():
                    self.write(f"{name}/{file}", content)
                counts, summary = self.counts("--format", name, "--from", self.folder / name)
                self.assertEqual(counts, expected, summary)

    def test_a_table_of_ones_own(self):
        table = self.write("my.txt", "# mine\nmine *.log events --separator tab --columns user_id,item_id,occurred_at --set type=purchase\n")
        self.write("logs/a.log", f"u\ti\t{START_S}\n")
        counts, summary = self.counts("--format", table, "--from", self.folder / "logs")
        self.assertEqual((counts, summary["types"]["purchase"]), ((1, 0, 0), 1))
        printed = self.run_freshet("replay", "--formats")
        self.assertIn(b"movielens u.data events --separator tab", printed.stdout)
        self.refuse("x", "no data set (movielens", "--format", "no-such-set", code=EXIT_USAGE)


class Rejects(InputCase):
    def test_each_row_is_written_whole(self):
        errors = self.folder / "errors.csv"
        good = json.dumps({"user_id": "u", "item_id": "i", "occurred_at": START_S, "extra": "kept"})
        bad = good.replace(str(START_S), '"never"')
        result = self.run_freshet("replay", "--dry-run", "--errors", errors, "--events", self.write("x", f"{good}\n{bad}\n[1]\n"))
        self.assertEqual(result.returncode, EXIT_REJECTS)
        text = errors.read_text()
        self.assertIn('"' + bad.replace('"', '""') + '"', text)
        self.assertIn("[1]", text)
        corrected = self.write("errors.csv", text.replace("never", str(START_S)))
        self.assertEqual(self.counts("--events", corrected)[0], (1, 0, 1))

    def test_evaluate_says_when_there_is_nothing(self):
        result = self.run_freshet("evaluate", "--events", self.write("x", csv([row(1)])))
        self.assertEqual(result.returncode, EXIT_FAILED)
        self.assertIn(b"nothing was ranked", result.stderr)
        self.assertNotIn(b"nan", result.stdout)

    def test_evaluate_of_nothing_but_dislikes(self):
        rows = [f"rating,u{u},i{(u + n) % 6},{START_S + 10 * u + n},1\n" for u in range(40) for n in range(4)]
        events = self.write("events.csv", csv(rows, "type,user_id,item_id,occurred_at,value\n"))
        result = self.run_freshet("evaluate", "--events", events)
        self.assertEqual(result.returncode, EXIT_OK, result.stderr)
        self.assertNotIn(b"nan", result.stdout)
        self.assertIn(b"no new item was ranked", result.stdout)
        self.assertIn(b"no choice was ranked", result.stdout)

    def test_evaluate_says_how_sure_segments_are_and_what_was_tuned(self):
        rows = [f"purchase,u{u},i{(u + n * n) % 30},{START_S + 1000 * u + n}\n" for u in range(60) for n in range(6)]
        events = self.write("events.csv", csv(rows, "type,user_id,item_id,occurred_at\n"))
        compared = ["evaluate", "--events", events, "--compare", "popular,personal"]
        told = json.loads(self.run_freshet(*compared, "--json").stdout)
        for baseline in told["baselines"].values():
            self.assertRegex(baseline["setting"] + baseline["service_setting"], "count")
            self.assertEqual(len(baseline["segments"]["history"]["0"]["recall_at_10_freshet_more"]), 2)
        parts = [part for segment in told["segments"].values() for part in segment.values() if part["events"] > 0]
        self.assertEqual(sum(part["events"] for part in told["segments"]["history"].values()), told["all_events"])
        for part in parts:
            low, high = part["recall_at_10_interval"]
            self.assertTrue(low <= part["recall_at_10"] <= high, part)
            self.assertLessEqual(*part["ndcg_at_10_more_than_all"])
        text = self.run_freshet(*compared).stdout.decode()
        self.assertRegex(text, r"setting of popular +a count halves in \d+ events")
        self.assertRegex(text, r"recall@10 by history, its 95 % interval.*\n +0 .*(same|higher|lower); \d+ lists\n")

    def test_evaluate_explains_the_list_that_is_served(self):
        rows = [f"purchase,u{u},i{(u + n * n) % 30},{START_S + 1000 * u + n}\n" for u in range(60) for n in range(6)]
        events = self.write("events.csv", csv(rows, "type,user_id,item_id,occurred_at\n"))
        explain = ["evaluate", "--events", events, "--explain", "u3", "-X", "rules.pin.1=i29", "-X", "rules.hide=seen"]
        served = self.run_freshet(*explain).stdout.decode()
        self.assertRegex(served, r"who last chose .*, the list that is served \(rules act, .*\n +1\. i29 ")
        by_score = self.run_freshet(*explain, "--protocol", "new-items").stdout.decode()
        self.assertIn("the best new items by score (--protocol new-items", by_score)
        self.assertNotRegex(by_score, r"\n +1\. i29 ")

    def test_evaluate_honours_what_records_of_items_say(self):
        rows = [f"purchase,u{u},i{(u + n * n) % 30},{START_S + 1000 * u + n}\n" for u in range(60) for n in range(6)]
        events = self.write("events.csv", csv(rows, "type,user_id,item_id,occurred_at\n"))
        items = self.write("items.csv", csv([f"i{i},{'no' if i < 3 else 'yes'}\n" for i in range(30)], "item_id,available\n"))
        told = json.loads(self.run_freshet("evaluate", "--json", "--events", events, "--items", items).stdout)
        self.assertGreater(told["not_on_offer"], 0)
        without = json.loads(self.run_freshet("evaluate", "--json", "--events", events).stdout)
        self.assertEqual((without["not_on_offer"], without["all_events"]), (0, told["all_events"]))

    def test_evaluate_measures_the_goal(self):
        """Of two clicks and two purchases by each user, only purchases are targets of the goal purchase."""
        head = "type,user_id,item_id,occurred_at\n"
        rows = [f"{kind},u{u},{kind}{(u + n) % 4},{START_S + 10 * u + n}\n"
                for u in range(40) for n, kind in enumerate(["click", "click", "purchase", "purchase"])]
        events = self.write("events.csv", csv(rows, head))
        ranked = {}
        for goal in ("any", "purchase"):
            result = self.run_freshet("evaluate", "--json", "-X", f"model.goal={goal}", "--events", events)
            self.assertEqual(result.returncode, EXIT_OK, result.stderr)
            ranked[goal] = json.loads(result.stdout)["ranked_events"]
        self.assertGreater(ranked["any"], 1.5 * ranked["purchase"])
        clicks = self.write("clicks.csv", csv(rows[:2], head))
        result = self.run_freshet("evaluate", "-X", "model.goal=purchase", "--events", clicks)
        self.assertEqual(result.returncode, EXIT_FAILED)
        self.assertIn(b"none of the 2 events is a purchase", result.stderr)


if __name__ == "__main__":
    main()
